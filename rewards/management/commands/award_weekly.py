from rewards.choices import Cadence
from rewards.management.award import AwardCommand


class Command(AwardCommand):
    help = "Award weeks that have ended by the weekly rules in force on their Sundays."
    cadence = Cadence.WEEKLY
    option = "--week"
