from rewards.choices import Cadence
from rewards.management.award import AwardCommand


class Command(AwardCommand):
    help = "Award business days that have ended by the daily rules in force on them."
    cadence = Cadence.DAILY
    option = "--date"
