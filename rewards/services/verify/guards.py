"""The constraints and triggers that keep the ledger what it is."""

from rewards.models.ledger import AWARD_ONCE
from rewards.services.verify.invariants import Invariant

_GUARDS = """ARRAY['rewards_scorehistory_names_run_and_rule',
    'rewards_awardrun_is_kept', 'rewards_awardrun_is_not_emptied',
    'rewards_rewardrule_is_kept', 'rewards_rewardrule_is_not_emptied']"""

INVARIANTS = [
    Invariant(
        "I2",
        "the constraint that pays an award once exists, is valid and immediate",
        "SELECT 1",
        f"""SELECT 'missing' WHERE NOT EXISTS (
            SELECT 1 FROM pg_constraint c JOIN pg_index i ON i.indexrelid = c.conindid
            WHERE c.conrelid = 'rewards_scorehistory'::regclass AND c.conname = '{AWARD_ONCE}'
            AND c.convalidated AND i.indisvalid AND NOT c.condeferrable)""",  # noqa: S608 - a constant
    ),
    Invariant(
        "I7",
        "the ledger's trigger refuses update, delete and truncate",
        "SELECT 1",
        """SELECT 'trigger off' WHERE NOT EXISTS (
            SELECT 1 FROM pg_trigger WHERE tgrelid = 'rewards_scorehistory'::regclass
            AND tgname = 'rewards_scorehistory_is_append_only' AND tgenabled IN ('O', 'A')
            AND tgtype = 2 + 8 + 16 + 32)""",
    ),
    Invariant(
        "I20",
        "no deletion reaches the ledger",
        f"SELECT 1 + cardinality({_GUARDS})",
        # The foreign key to the host, and the triggers that stand for those to rule and run.
        f"""SELECT 'no key to the host' WHERE NOT EXISTS (
            SELECT FROM pg_constraint
            WHERE contype = 'f' AND conrelid = 'rewards_scorehistory'::regclass
            AND confrelid = 'rewards_user'::regclass)
        UNION ALL
        SELECT conname FROM pg_constraint
        WHERE contype = 'f' AND conrelid = 'rewards_scorehistory'::regclass
        AND (confdeltype NOT IN ('r', 'a') OR NOT convalidated)
        UNION ALL
        SELECT guard FROM unnest({_GUARDS}) AS guard
        WHERE NOT EXISTS (
            SELECT FROM pg_trigger WHERE tgname = guard AND tgenabled IN ('O', 'A'))""",  # noqa: S608 - constants
    ),
]
