"""The constraints and triggers that protect the ledger."""

from rewards.models.database_rules import APPEND_ONLY, REFERENCES
from rewards.models.ledger import AWARD_ONCE
from rewards.reports.verify.invariants import Invariant

_REFERENCES = ", ".join(f"('{trigger.name}', '{trigger.table}')" for trigger in REFERENCES)

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
        f"""SELECT 'trigger off' WHERE NOT EXISTS (
            SELECT 1 FROM pg_trigger WHERE tgrelid = '{APPEND_ONLY.table}'::regclass
            AND tgname = '{APPEND_ONLY.name}' AND tgenabled IN ('O', 'A')
            AND tgtype = 2 + 8 + 16 + 32)""",  # noqa: S608 - constants
    ),
    Invariant(
        "I20",
        "no deletion reaches the ledger",
        f"SELECT {1 + len(REFERENCES)}",
        # The key to the host, and the triggers that stand for those to run and rule version.
        f"""SELECT 'no key to the host' WHERE NOT EXISTS (
            SELECT FROM pg_constraint
            WHERE contype = 'f' AND conrelid = 'rewards_scorehistory'::regclass
            AND confrelid = 'rewards_user'::regclass)
        UNION ALL
        SELECT conname FROM pg_constraint
        WHERE contype = 'f' AND conrelid = 'rewards_scorehistory'::regclass
        AND (confdeltype NOT IN ('r', 'a') OR NOT convalidated)
        UNION ALL
        SELECT name FROM (VALUES {_REFERENCES}) AS needed (name, of_table)
        WHERE NOT EXISTS (
            SELECT FROM pg_trigger
            WHERE tgname = name AND tgrelid = of_table::regclass AND tgenabled IN ('O', 'A'))""",  # noqa: S608 - constants
    ),
]
