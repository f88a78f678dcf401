"""Room on each page for the counts that grow, so that an import updates them where they lie."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("rewards", "0011_deferred_shards"),
    ]

    operations: ClassVar = [
        migrations.RunSQL(
            "ALTER TABLE rewards_dailyactivity SET (fillfactor = 80)",
            "ALTER TABLE rewards_dailyactivity RESET (fillfactor)",
        ),
    ]
