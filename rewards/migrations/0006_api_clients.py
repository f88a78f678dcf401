"""Clients of the API and their keys."""

import django.db.models.deletion
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import migrations, models
from django.db.models.functions import Length
from django.db.models.lookups import Exact

SCOPES = [
    ("events:write", "Send events"),
    ("hosts:write", "Create and change hosts"),
    ("scores:read", "Read scores, awards and runs"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("rewards", "0005_award_once_by_entry"),
    ]

    operations = [
        migrations.CreateModel(
            name="ApiClient",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(help_text="Shown to staff only.", max_length=100)),
                (
                    "source",
                    models.CharField(
                        help_text="The source of all events that this client sends. It cannot be "
                        "changed.",
                        max_length=64,
                        validators=[
                            RegexValidator("^[!-~]{1,64}$", "Use 1 to 64 visible ASCII characters.")
                        ],
                    ),
                ),
                (
                    "scopes",
                    ArrayField(
                        base_field=models.CharField(choices=SCOPES, max_length=32),
                        help_text="What its keys allow.",
                        size=None,
                    ),
                ),
                (
                    "creates_hosts",
                    models.BooleanField(
                        default=False,
                        help_text="Whether an event of an unknown host creates that host. If off, "
                        "it is rejected.",
                        verbose_name="creates hosts",
                    ),
                ),
                (
                    "requests_per_second",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="More are refused with status 429. Empty for no limit.",
                        null=True,
                        validators=[MinValueValidator(1), MaxValueValidator(10_000)],
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        help_text="Clear to refuse all keys of this client.",
                        verbose_name="active",
                    ),
                ),
            ],
            options={
                "verbose_name": "API client",
                "verbose_name_plural": "API clients",
                "ordering": ["source"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("source",),
                        name="rewards_apiclient_one_per_source",
                        violation_error_message="Another client has this source.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(source__regex="^[!-~]{1,64}$"),
                        name="rewards_apiclient_source_is_visible_ascii",
                        violation_error_message="A source is 1 to 64 visible ASCII characters.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("name", ""), _negated=True),
                        name="rewards_apiclient_has_a_name",
                        violation_error_message="A client has a name.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("scopes__contained_by", [scope for scope, _ in SCOPES]),
                            models.Q(("scopes", []), _negated=True),
                        ),
                        name="rewards_apiclient_scopes_are_known",
                        violation_error_message="A client has one or more of the known scopes.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("requests_per_second__isnull", True),
                            ("requests_per_second__range", (1, 10_000)),
                            _connector="OR",
                        ),
                        name="rewards_apiclient_rate_fits",
                        violation_error_message="A limit is 1 to 10,000 requests a second.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "prefix",
                    models.CharField(help_text="Names the key; it is no secret.", max_length=8),
                ),
                ("digest", models.BinaryField(help_text="SHA-256 of the secret.")),
                ("created_at", models.DateTimeField()),
                (
                    "expires_on",
                    models.DateField(
                        blank=True,
                        help_text="The last business day on which the key is accepted.",
                        null=True,
                    ),
                ),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "last_used_on",
                    models.DateField(
                        blank=True, help_text="The business day of its last use.", null=True
                    ),
                ),
                (
                    "client",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="keys",
                        to="rewards.apiclient",
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty for the command line.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "API key",
                "verbose_name_plural": "API keys",
                "ordering": ["-created_at", "-id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("prefix",),
                        name="rewards_apikey_one_per_prefix",
                        violation_error_message="Another key has this prefix.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(prefix__regex="^[a-z2-7]{8}$"),
                        name="rewards_apikey_prefix_is_8_letters_or_digits",
                        violation_error_message="A prefix is 8 of the letters a-z and the digits "
                        "2-7.",
                    ),
                    models.CheckConstraint(
                        condition=Exact(Length("digest"), 32),
                        name="rewards_apikey_digest_is_sha256",
                        violation_error_message="A digest has 32 bytes.",
                    ),
                ],
            },
        ),
    ]
