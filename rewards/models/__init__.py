"""The tables, one file for each idea."""

from rewards.models.activity import (
    ActivityEvent,
    ActivitySettings,
    ActivityTotal,
    DailyActivity,
)
from rewards.models.api import ApiClient, ApiKey
from rewards.models.ledger import ScoreHistory
from rewards.models.rule import RewardRule
from rewards.models.run import AwardBatch, AwardRun
from rewards.models.schedule import Schedule
from rewards.models.score import Score
from rewards.models.user import Host, User

__all__ = [
    "ActivityEvent",
    "ActivitySettings",
    "ActivityTotal",
    "ApiClient",
    "ApiKey",
    "AwardBatch",
    "AwardRun",
    "DailyActivity",
    "Host",
    "RewardRule",
    "Schedule",
    "Score",
    "ScoreHistory",
    "User",
]
