"""The triggers and storage parameters of rewards/models/database_rules.py."""

from typing import ClassVar

from django.db import migrations

from rewards.models.database_rules import CREATE_SQL, DROP_SQL

FORMER_FUNCTION = """
CREATE OR REPLACE FUNCTION rewards_require_run_and_rule() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    named record;
BEGIN
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
"""
"""It was replaced when runs and ledger got the columns that it reads now."""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("rewards", "0001_models")]

    operations: ClassVar = [migrations.RunSQL(CREATE_SQL + FORMER_FUNCTION, DROP_SQL)]
