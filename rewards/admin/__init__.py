"""The admin site: staff edit rules and hosts, start runs, and read everything else."""

from rewards.admin.activity import ActivityEventAdmin, DailyActivityAdmin
from rewards.admin.api_clients.admin import ApiClientAdmin
from rewards.admin.hosts.admin import HostAdmin
from rewards.admin.ledger.awards import AwardAdmin
from rewards.admin.ledger.scores import ScoreAdmin
from rewards.admin.rules.admin import RuleAdmin
from rewards.admin.runs.admin import RunAdmin
from rewards.admin.schedule import ScheduleAdmin
from rewards.admin.staff import GroupAdmin, StaffAdmin

__all__ = [
    "ActivityEventAdmin",
    "ApiClientAdmin",
    "AwardAdmin",
    "DailyActivityAdmin",
    "GroupAdmin",
    "HostAdmin",
    "RuleAdmin",
    "RunAdmin",
    "ScheduleAdmin",
    "ScoreAdmin",
    "StaffAdmin",
]
