"""Let a host be found by how a name begins, at any number of hosts."""

from django.contrib.postgres.indexes import OpClass
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Upper


class Migration(migrations.Migration):
    dependencies = [("rewards", "0007_room_for_many_calls")]

    operations = [
        migrations.AddIndex(
            model_name="user",
            index=models.Index(
                OpClass(Upper("first_name"), "text_pattern_ops"),
                name="rewards_user_by_first_name",
                condition=~Q(first_name=""),
            ),
        ),
        migrations.AddIndex(
            model_name="user",
            index=models.Index(
                OpClass(Upper("last_name"), "text_pattern_ops"),
                name="rewards_user_by_last_name",
                condition=~Q(last_name=""),
            ),
        ),
    ]
