"""The unique constraint of awards with the entry, for a ledger of any size.

No statement here locks the ledger for longer than a moment. After an interruption the migration can
be run again.
"""

from typing import ClassVar

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations, models

from rewards.models.ledger import AWARD_ONCE

_CHECKS = ("type_is_known", "points_fit", "entry_matches_its_sign", "award_has_evidence")
_MESSAGE = "This host already has this award."


def _create_index(columns: str) -> tuple[str, ...]:
    return (
        # A concurrent build waits for every older transaction, however long that takes.
        "SET lock_timeout = 0",
        f"DROP INDEX CONCURRENTLY IF EXISTS {AWARD_ONCE}_new",
        f"CREATE UNIQUE INDEX CONCURRENTLY {AWARD_ONCE}_new ON rewards_scorehistory ({columns})",
        "SET lock_timeout TO DEFAULT",
        # One statement: the ledger is never without its constraint.
        f"ALTER TABLE rewards_scorehistory DROP CONSTRAINT {AWARD_ONCE},"
        f" ADD CONSTRAINT {AWARD_ONCE} UNIQUE USING INDEX {AWARD_ONCE}_new",
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies: ClassVar = [("rewards", "0004_signed_ledger")]

    operations: ClassVar = [
        *(
            ValidateConstraint("scorehistory", name=f"rewards_scorehistory_{check}")
            for check in _CHECKS
        ),
        migrations.RunSQL(
            _create_index("reference_date, user_id, rule_type, entry"),
            _create_index("reference_date, user_id, rule_type"),
            state_operations=[
                migrations.RemoveConstraint("scorehistory", AWARD_ONCE),
                migrations.AddConstraint(
                    "scorehistory",
                    models.UniqueConstraint(
                        name=AWARD_ONCE,
                        fields=["reference_date", "user", "rule_type", "entry"],
                        violation_error_message=_MESSAGE,
                    ),
                ),
            ],
        ),
    ]
