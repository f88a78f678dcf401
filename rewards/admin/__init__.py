"""The admin: where people write rules, and read all else."""

from rewards.admin.activity import ActivityEventAdmin, DailyActivityAdmin
from rewards.admin.hosts.admin import HostAdmin
from rewards.admin.ledger.awards import LedgerAdmin
from rewards.admin.ledger.scores import ScoreAdmin
from rewards.admin.rules.admin import RuleAdmin
from rewards.admin.runs.admin import RunAdmin
from rewards.admin.schedule import ScheduleAdmin
from rewards.admin.staff import StaffAdmin, StaffGroupAdmin

__all__ = [
    "ActivityEventAdmin",
    "DailyActivityAdmin",
    "HostAdmin",
    "LedgerAdmin",
    "RuleAdmin",
    "RunAdmin",
    "ScheduleAdmin",
    "ScoreAdmin",
    "StaffAdmin",
    "StaffGroupAdmin",
]
