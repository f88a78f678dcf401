"""The constraints and triggers that protect the ledger."""

from rewards.models.database_rules import APPEND_ONLY, REFERENCES
from rewards.models.ledger import AWARD_ONCE
from rewards.reports.verify.invariants import Invariant

_REFERENCES = ", ".join(f"('{trigger.name}', '{trigger.table}')" for trigger in REFERENCES)

INVARIANTS = [
    Invariant(
        "I2",
        "the unique constraint of awards exists, is valid and cannot be deferred",
        "SELECT 1",
        f"""SELECT '{AWARD_ONCE}' AS name WHERE NOT EXISTS (
            SELECT FROM pg_constraint c JOIN pg_index i ON i.indexrelid = c.conindid
            WHERE c.conrelid = 'rewards_scorehistory'::regclass AND c.conname = '{AWARD_ONCE}'
            AND c.convalidated AND i.indisvalid AND NOT c.condeferrable)""",
        "the constraint {name} is missing, invalid or deferrable".format_map,
    ),
    Invariant(
        "I7",
        "the trigger that makes the ledger append-only is enabled",
        "SELECT 1",
        # tgtype: before UPDATE, DELETE and TRUNCATE, once for each statement.
        f"""SELECT '{APPEND_ONLY.name}' AS name WHERE NOT EXISTS (
            SELECT FROM pg_trigger WHERE tgrelid = '{APPEND_ONLY.table}'::regclass
            AND tgname = '{APPEND_ONLY.name}' AND tgenabled IN ('O', 'A')
            AND tgtype = 2 + 8 + 16 + 32)""",
        "the trigger {name} is missing, disabled or incomplete".format_map,
    ),
    Invariant(
        "I20",
        "nothing that an award refers to can be deleted",
        f"SELECT {1 + len(REFERENCES)}",
        # The foreign key to the host, and the triggers that stand for those to run and rule.
        f"""SELECT 'the foreign key to the host is missing' AS problem WHERE NOT EXISTS (
            SELECT FROM pg_constraint
            WHERE contype = 'f' AND conrelid = 'rewards_scorehistory'::regclass
            AND confrelid = 'rewards_user'::regclass)
        UNION ALL
        SELECT format('the foreign key %%s deletes awards or is not validated', conname)
        FROM pg_constraint
        WHERE contype = 'f' AND conrelid = 'rewards_scorehistory'::regclass
        AND (confdeltype NOT IN ('r', 'a') OR NOT convalidated)
        UNION ALL
        SELECT format('the trigger %%s is missing or disabled', name)
        FROM (VALUES {_REFERENCES}) AS needed (name, of_table)
        WHERE NOT EXISTS (
            SELECT FROM pg_trigger
            WHERE tgname = name AND tgrelid = of_table::regclass AND tgenabled IN ('O', 'A'))""",
        "{problem}".format_map,
    ),
]
