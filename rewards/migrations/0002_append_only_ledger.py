"""What the tables promise beyond what models can say: the ledger only ever grows."""

from typing import ClassVar

from django.db import migrations

FORBID_CHANGE = """
CREATE FUNCTION rewards_refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER rewards_scorehistory_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON rewards_scorehistory
    FOR EACH STATEMENT EXECUTE FUNCTION rewards_refuse_ledger_change();
"""

ALLOW_CHANGE = """
DROP TRIGGER rewards_scorehistory_is_append_only ON rewards_scorehistory;
DROP FUNCTION rewards_refuse_ledger_change();
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("rewards", "0001_initial")]

    operations: ClassVar = [
        migrations.RunSQL(FORBID_CHANGE, ALLOW_CHANGE),
        # Every run updates each score once: room on the page keeps the new version beside the
        # old one, and spares the index an entry.
        migrations.RunSQL(
            "ALTER TABLE rewards_score SET (fillfactor = 70)",
            "ALTER TABLE rewards_score RESET (fillfactor)",
        ),
    ]
