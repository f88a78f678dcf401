"""An index of the few who earn no longer, in which each batch looks its hosts up."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("rewards", "0012_room_for_counts"),
    ]

    operations: ClassVar = [
        migrations.AddIndex(
            model_name="user",
            index=models.Index(
                fields=["id"],
                name="rewards_user_gone",
                condition=models.Q(("is_host", False), ("left_on__isnull", False), _connector="OR"),
            ),
        ),
    ]
