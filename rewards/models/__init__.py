"""The tables, one file for each idea."""

from rewards.models.activity import ActivityEvent, ActivityTotal, DailyActivity
from rewards.models.ledger import ScoreHistory
from rewards.models.rule import RewardRule
from rewards.models.run import AwardRun, AwardShard
from rewards.models.score import Score
from rewards.models.user import Host, User

__all__ = [
    "ActivityEvent",
    "ActivityTotal",
    "AwardRun",
    "AwardShard",
    "DailyActivity",
    "Host",
    "RewardRule",
    "Score",
    "ScoreHistory",
    "User",
]
