from __future__ import annotations

import re
from datetime import date
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Length
from django.db.models.lookups import Exact

from rewards.choices import ApiScope

SOURCE_PATTERN = r"^[!-~]{1,64}$"
"""1 to 64 visible ASCII characters, as in the source of an activity event."""

MAX_REQUESTS_PER_SECOND = 10_000

KEY_START = "rwd_"
KEY_FORMAT = re.compile(rf"{KEY_START}([a-z2-7]{{8}})_([A-Za-z0-9_-]{{43}})")
"""Prefix and secret of a key as text: 40 and 256 random bits."""

_PREFIX_PATTERN = r"^[a-z2-7]{8}$"
_DIGEST_BYTES = 32


class ApiClient(models.Model):
    """A program that calls the API: the app, or a service beside it.

    All its events have its `source`, so no client can send or replace the events of another.
    """

    name = models.CharField(max_length=100, help_text="Shown to staff only.")
    source = models.CharField(
        max_length=64,
        validators=[RegexValidator(SOURCE_PATTERN, "Use 1 to 64 visible ASCII characters.")],
        help_text="The source of all events that this client sends. It cannot be changed.",
    )
    scopes = ArrayField(
        models.CharField(max_length=32, choices=ApiScope),
        help_text="What its keys allow.",
    )
    creates_hosts = models.BooleanField(
        "creates hosts",
        default=False,
        help_text="Whether an event of an unknown host creates that host. If off, it is rejected.",
    )
    requests_per_second = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_REQUESTS_PER_SECOND)],
        help_text="More are refused with status 429. Empty for no limit.",
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="Clear to refuse all keys of this client."
    )

    class Meta:
        verbose_name = "API client"
        verbose_name_plural = "API clients"
        ordering: ClassVar = ["source"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="rewards_apiclient_one_per_source",
                fields=["source"],
                violation_error_message="Another client has this source.",
            ),
            models.CheckConstraint(
                name="rewards_apiclient_source_is_visible_ascii",
                condition=Q(source__regex=SOURCE_PATTERN),
                violation_error_message="A source is 1 to 64 visible ASCII characters.",
            ),
            models.CheckConstraint(
                name="rewards_apiclient_has_a_name",
                condition=~Q(name=""),
                violation_error_message="A client has a name.",
            ),
            models.CheckConstraint(
                name="rewards_apiclient_scopes_are_known",
                condition=Q(scopes__contained_by=ApiScope.values) & ~Q(scopes=[]),
                violation_error_message="A client has one or more of the known scopes.",
            ),
            models.CheckConstraint(
                name="rewards_apiclient_rate_fits",
                condition=Q(requests_per_second__isnull=True)
                | Q(requests_per_second__range=(1, MAX_REQUESTS_PER_SECOND)),
                violation_error_message="A limit is 1 to "
                f"{MAX_REQUESTS_PER_SECOND:,} requests a second.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def version_token(self) -> str:
        """Changes whenever a field that staff edit changes; for optimistic locking."""
        return (
            f"{self.name!r} {sorted(self.scopes)} {self.creates_hosts} "
            f"{self.requests_per_second} {self.is_active}"
        )


class ApiKey(models.Model):
    """A key of a client: `rwd_<prefix>_<secret>`. Only the digest of the secret is stored.

    Two keys of a client are valid at a time, so that one can replace the other without a gap.
    """

    client = models.ForeignKey(ApiClient, on_delete=models.PROTECT, related_name="keys")
    prefix = models.CharField(max_length=8, help_text="Names the key; it is no secret.")
    digest = models.BinaryField(help_text="SHA-256 of the secret.")

    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty for the command line.",
    )
    expires_on = models.DateField(
        null=True, blank=True, help_text="The last business day on which the key is accepted."
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_on = models.DateField(
        null=True, blank=True, help_text="The business day of its last use."
    )

    class Meta:
        verbose_name = "API key"
        verbose_name_plural = "API keys"
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="rewards_apikey_one_per_prefix",
                fields=["prefix"],
                violation_error_message="Another key has this prefix.",
            ),
            models.CheckConstraint(
                name="rewards_apikey_prefix_is_8_letters_or_digits",
                condition=Q(prefix__regex=_PREFIX_PATTERN),
                violation_error_message="A prefix is 8 of the letters a-z and the digits 2-7.",
            ),
            models.CheckConstraint(
                name="rewards_apikey_digest_is_sha256",
                condition=Exact(Length("digest"), _DIGEST_BYTES),
                violation_error_message=f"A digest has {_DIGEST_BYTES} bytes.",
            ),
        ]

    def __str__(self) -> str:
        return f"{KEY_START}{self.prefix}"

    def state_on(self, day: date) -> str:
        """Return "valid", "revoked", "expired" or "inactive" on a business day."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_on is not None and self.expires_on < day:
            return "expired"
        return "valid" if self.client.is_active else "inactive"
