"""The admin: where people write rules, and read all else."""

from rewards.admin.activity import ActivityEventAdmin, DailyActivityAdmin
from rewards.admin.hosts import HostAdmin
from rewards.admin.ledger import LedgerAdmin
from rewards.admin.rules import RuleAdmin
from rewards.admin.runs import RunAdmin
from rewards.admin.schedules import ScheduleAdmin
from rewards.admin.scores import ScoreAdmin
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
