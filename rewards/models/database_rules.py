"""What the database enforces beyond the models: triggers, and room on pages for updates.

The migration creates these rules, and verify_ledger checks that they are in place.
"""

from typing import NamedTuple


class Trigger(NamedTuple):
    name: str
    table: str
    when: str
    """Timing, events, transition tables and level."""
    function: str
    """The function call."""

    @property
    def create_sql(self) -> str:
        event, _, level = self.when.partition(" FOR EACH ")
        before, _, tables = event.partition(" REFERENCING ")
        referencing = f" REFERENCING {tables}" if tables else ""
        return (
            f"CREATE TRIGGER {self.name} {before} ON {self.table}{referencing}"
            f" FOR EACH {level} EXECUTE FUNCTION {self.function};\n"
        )

    @property
    def drop_sql(self) -> str:
        return f"DROP TRIGGER {self.name} ON {self.table};\n"


# The ledger is append-only.
_REFUSE_LEDGER_CHANGE = """
CREATE OR REPLACE FUNCTION rewards_refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;
"""

# The ledger's foreign keys to run and rule version. All rows of a batch name one run and a few
# versions; real foreign keys look them up for every row, which was a third of the cost of a run.
# Beyond a foreign key, the run must be open: the process that ends a run locks its row FOR
# UPDATE, so that no award is written after the end.
_REQUIRE_RUN_AND_RULE = """
CREATE OR REPLACE FUNCTION rewards_require_run_and_rule() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    named record;
    run record;
    wrong record;
    last_entry smallint := 0;
BEGIN
    FOR named IN
        SELECT run_id, rule_id, entry % 2 = 1 AS is_undo, max(entry) AS last_entry
        FROM written WHERE rule_type <> 'ADJUSTMENT' GROUP BY 1, 2, 3
    LOOP
        last_entry := greatest(last_entry, named.last_entry);
        -- The locks of a foreign key: a DELETE of one of these rows waits for this transaction.
        SELECT status, kind INTO run FROM rewards_awardrun WHERE id = named.run_id FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'award violates foreign key: there is no run %', named.run_id
                USING ERRCODE = 'foreign_key_violation';
        END IF;
        IF run.status NOT IN ('running', 'live') THEN
            RAISE EXCEPTION 'run % is % and takes no awards', named.run_id, run.status
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        IF (run.kind = 'undo') <> named.is_undo THEN
            RAISE EXCEPTION 'run % of kind % cannot write this entry', named.run_id, run.kind
                USING ERRCODE = 'check_violation';
        END IF;
        PERFORM FROM rewards_rewardrule WHERE id = named.rule_id FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'award violates foreign key: there is no rule version %', named.rule_id
                USING ERRCODE = 'foreign_key_violation';
        END IF;
    END LOOP;
    IF last_entry = 0 THEN
        RETURN NULL;
    END IF;
    -- An undo is the negative of the award before it. An award after an undo is by another version.
    SELECT user_id, rule_type, reference_date, entry INTO wrong FROM written
    WHERE entry > 0 AND rule_type <> 'ADJUSTMENT' AND NOT EXISTS (
        SELECT FROM rewards_scorehistory AS former
        WHERE former.reference_date = written.reference_date AND former.user_id = written.user_id
        AND former.rule_type = written.rule_type AND former.entry = written.entry - 1
        AND CASE WHEN written.entry % 2 = 1
            THEN (former.rule_id, former.measured, former.threshold, former.points)
                = (written.rule_id, written.measured, written.threshold, -written.points)
            ELSE former.rule_id <> written.rule_id
        END
    ) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % of % for % of user % does not follow from the entry before it',
            wrong.entry, wrong.rule_type, wrong.reference_date, wrong.user_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
"""

# The other side of those foreign keys.
_KEEP_WHAT_AWARDS_NAME = """
CREATE OR REPLACE FUNCTION rewards_keep_what_awards_name() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_named boolean;
BEGIN
    -- The row is locked by now, so that awards that name it are committed. The snapshot of an
    -- older statement might not show them.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION '% on % needs the isolation level READ COMMITTED', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'feature_not_supported';
    END IF;
    IF TG_OP = 'TRUNCATE' THEN
        SELECT EXISTS (SELECT FROM rewards_scorehistory) INTO is_named;
    ELSE
        EXECUTE format('SELECT EXISTS (SELECT FROM rewards_scorehistory WHERE %I = $1)', TG_ARGV[0])
            INTO is_named USING OLD.id;
    END IF;
    IF is_named THEN
        RAISE EXCEPTION '% on % violates foreign key: an award names it', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$$;
"""

# ActivityTotal is the sum of DailyActivity. A trigger writes each (day, slot) once, in order of
# day, for any number of rows. An upsert fires two of them, so that two writers of the same days
# and slot can deadlock; both are retried.
_TOTAL_ACTIVITY = """
CREATE OR REPLACE FUNCTION rewards_total_activity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO rewards_activitytotal AS total (date, slot, events)
        SELECT date, pg_backend_pid() % 64, sum(logins + audio_calls + video_calls)
        FROM after_rows GROUP BY date ORDER BY date
        ON CONFLICT (date, slot) DO UPDATE SET events = total.events + excluded.events;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO rewards_activitytotal AS total (date, slot, events)
        SELECT date, pg_backend_pid() % 64, -sum(logins + audio_calls + video_calls)
        FROM before_rows GROUP BY date ORDER BY date
        ON CONFLICT (date, slot) DO UPDATE SET events = total.events + excluded.events;
    ELSE
        INSERT INTO rewards_activitytotal AS total (date, slot, events)
        SELECT date, pg_backend_pid() % 64, sum(events)
        FROM (
            SELECT date, logins + audio_calls + video_calls AS events FROM after_rows
            UNION ALL
            SELECT date, -(logins + audio_calls + video_calls) FROM before_rows
        ) AS changes
        GROUP BY date HAVING sum(events) <> 0 ORDER BY date
        ON CONFLICT (date, slot) DO UPDATE SET events = total.events + excluded.events;
    END IF;
    RETURN NULL;
END
$$;
"""

_FUNCTIONS = {
    "rewards_refuse_ledger_change": _REFUSE_LEDGER_CHANGE,
    "rewards_require_run_and_rule": _REQUIRE_RUN_AND_RULE,
    "rewards_keep_what_awards_name": _KEEP_WHAT_AWARDS_NAME,
    "rewards_total_activity": _TOTAL_ACTIVITY,
}

APPEND_ONLY = Trigger(
    "rewards_scorehistory_is_append_only",
    "rewards_scorehistory",
    "BEFORE UPDATE OR DELETE OR TRUNCATE FOR EACH STATEMENT",
    "rewards_refuse_ledger_change()",
)

REFERENCES = (
    Trigger(
        "rewards_scorehistory_names_run_and_rule",
        "rewards_scorehistory",
        "AFTER INSERT REFERENCING NEW TABLE AS written FOR EACH STATEMENT",
        "rewards_require_run_and_rule()",
    ),
    Trigger(
        "rewards_awardrun_is_kept",
        "rewards_awardrun",
        "BEFORE DELETE OR UPDATE OF id FOR EACH ROW",
        "rewards_keep_what_awards_name('run_id')",
    ),
    Trigger(
        "rewards_awardrun_is_not_emptied",
        "rewards_awardrun",
        "BEFORE TRUNCATE FOR EACH STATEMENT",
        "rewards_keep_what_awards_name()",
    ),
    Trigger(
        "rewards_rewardrule_is_kept",
        "rewards_rewardrule",
        "BEFORE DELETE OR UPDATE OF id FOR EACH ROW",
        "rewards_keep_what_awards_name('rule_id')",
    ),
    Trigger(
        "rewards_rewardrule_is_not_emptied",
        "rewards_rewardrule",
        "BEFORE TRUNCATE FOR EACH STATEMENT",
        "rewards_keep_what_awards_name()",
    ),
)
"""They stand for the foreign keys of an award to its run and rule version."""

TOTALS = tuple(
    Trigger(
        f"rewards_dailyactivity_is_totalled_on_{event.lower()}",
        "rewards_dailyactivity",
        f"AFTER {event} REFERENCING {tables} FOR EACH STATEMENT",
        "rewards_total_activity()",
    )
    for event, tables in (
        ("INSERT", "NEW TABLE AS after_rows"),
        ("UPDATE", "OLD TABLE AS before_rows NEW TABLE AS after_rows"),
        ("DELETE", "OLD TABLE AS before_rows"),
    )
)

TRIGGERS = (APPEND_ONLY, *REFERENCES, *TOTALS)

# Every run updates each score once, and imports add to counts: room on the page keeps the new
# version of a row beside the old one, without a new index entry.
_FILLFACTORS = {"rewards_score": 70, "rewards_dailyactivity": 80}

CREATE_FUNCTIONS_SQL = "".join(_FUNCTIONS.values())
"""Replaces functions that exist: a migration after a change runs it again."""

CREATE_SQL = "".join(
    [
        CREATE_FUNCTIONS_SQL,
        *(trigger.create_sql for trigger in TRIGGERS),
        *(f"ALTER TABLE {table} SET (fillfactor = {n});\n" for table, n in _FILLFACTORS.items()),
    ]
)

DROP_SQL = "".join(
    [
        *(f"ALTER TABLE {table} RESET (fillfactor);\n" for table in _FILLFACTORS),
        *(trigger.drop_sql for trigger in TRIGGERS),
        *(f"DROP FUNCTION {name}();\n" for name in _FUNCTIONS),
    ]
)
