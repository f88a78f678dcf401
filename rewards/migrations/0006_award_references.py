"""Check what awards refer to once a statement, where each row refers to the same few.

All rows of a batch name one run and a few rule versions. The foreign keys that a model makes would
look them up for every single row, which was a third of the cost of a run. These triggers keep the
same promise: no award without its run and rule version, and neither is deleted, renumbered or
truncated while an award names it. The key to the host, a different one nearly every row, stays.
"""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

REPLACE_KEYS = """
CREATE FUNCTION rewards_require_run_and_rule() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    named record;
BEGIN
    -- The locks are those a foreign key takes: who deletes one of these waits for our end.
    FOR named IN SELECT DISTINCT run_id, rule_id FROM written LOOP
        PERFORM FROM rewards_awardrun WHERE id = named.run_id FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'award violates foreign key: there is no run %', named.run_id
                USING ERRCODE = 'foreign_key_violation';
        END IF;
        PERFORM FROM rewards_rewardrule WHERE id = named.rule_id FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'award violates foreign key: there is no rule version %', named.rule_id
                USING ERRCODE = 'foreign_key_violation';
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER rewards_scorehistory_names_run_and_rule
    AFTER INSERT ON rewards_scorehistory
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION rewards_require_run_and_rule();

CREATE FUNCTION rewards_keep_what_awards_name() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_named boolean;
BEGIN
    -- The row is locked by now, so awards that name it are committed; an older snapshot than
    -- this statement's might not show them.
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
CREATE TRIGGER rewards_awardrun_is_kept
    BEFORE DELETE OR UPDATE OF id ON rewards_awardrun
    FOR EACH ROW EXECUTE FUNCTION rewards_keep_what_awards_name('run_id');
CREATE TRIGGER rewards_awardrun_is_not_emptied
    BEFORE TRUNCATE ON rewards_awardrun
    FOR EACH STATEMENT EXECUTE FUNCTION rewards_keep_what_awards_name();
CREATE TRIGGER rewards_rewardrule_is_kept
    BEFORE DELETE OR UPDATE OF id ON rewards_rewardrule
    FOR EACH ROW EXECUTE FUNCTION rewards_keep_what_awards_name('rule_id');
CREATE TRIGGER rewards_rewardrule_is_not_emptied
    BEFORE TRUNCATE ON rewards_rewardrule
    FOR EACH STATEMENT EXECUTE FUNCTION rewards_keep_what_awards_name();
"""

RESTORE_KEYS = """
DROP TRIGGER rewards_rewardrule_is_not_emptied ON rewards_rewardrule;
DROP TRIGGER rewards_rewardrule_is_kept ON rewards_rewardrule;
DROP TRIGGER rewards_awardrun_is_not_emptied ON rewards_awardrun;
DROP TRIGGER rewards_awardrun_is_kept ON rewards_awardrun;
DROP FUNCTION rewards_keep_what_awards_name();
DROP TRIGGER rewards_scorehistory_names_run_and_rule ON rewards_scorehistory;
DROP FUNCTION rewards_require_run_and_rule();
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("rewards", "0005_run_journal")]

    operations: ClassVar = [
        migrations.RunSQL(REPLACE_KEYS, RESTORE_KEYS),
        migrations.AlterField(
            model_name="scorehistory",
            name="rule",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="The version that was in force.",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="awards",
                to="rewards.rewardrule",
            ),
        ),
        migrations.AlterField(
            model_name="scorehistory",
            name="run",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="ledger",
                to="rewards.awardrun",
            ),
        ),
    ]
