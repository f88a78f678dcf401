"""The triggers and storage parameters of rewards/models/database_rules.py."""

from typing import ClassVar

from django.db import migrations

from rewards.models.database_rules import CREATE_SQL, DROP_SQL


class Migration(migrations.Migration):
    dependencies: ClassVar = [("rewards", "0001_models")]

    operations: ClassVar = [migrations.RunSQL(CREATE_SQL, DROP_SQL)]
