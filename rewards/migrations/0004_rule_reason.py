"""Let each version of a rule say why it was written."""

from django.conf import settings
from django.db import migrations, models
from django.db.models import deletion


class Migration(migrations.Migration):
    dependencies = [("rewards", "0003_roles")]

    operations = [
        migrations.AddField(
            model_name="rewardrule",
            name="reason",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Why, for whoever reads the history of the rule.",
                max_length=200,
            ),
        ),
        migrations.AlterField(
            model_name="rewardrule",
            name="created_by",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                help_text="Whoever wrote what it says now; empty when that was the command line.",
                null=True,
                on_delete=deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
    ]
