from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.contrib.postgres.indexes import OpClass
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper

EXTERNAL_ID_PATTERN = r"^[!-~]{1,128}$"
"""1 to 128 visible ASCII characters: the app's own keys, safe in any log, file or address."""


class User(AbstractUser):
    """A person known to the system: a member of staff, a host, or both.

    A host signs in to the app, never here, and so has an unusable password. Whoever has a
    ledger is never deleted; a host who leaves gets a `left_on`.
    """

    external_id = models.CharField(
        "external id",
        max_length=128,
        unique=True,
        null=True,
        blank=True,
        validators=[RegexValidator(EXTERNAL_ID_PATTERN, "Use 1 to 128 visible ASCII characters.")],
        error_messages={"unique": "Someone has this external id already."},
        help_text="The app's own key of this host.",
    )

    is_host = models.BooleanField(
        "host", default=False, help_text="Hosts earn points; staff who are no hosts do not."
    )
    left_on = models.DateField(
        "last day",
        null=True,
        blank=True,
        help_text="The last business day on which this host earns. Empty while active.",
    )

    class Meta(AbstractUser.Meta):
        verbose_name = "member of staff"
        verbose_name_plural = "staff"
        constraints: ClassVar = [
            models.CheckConstraint(
                name="rewards_user_host_has_external_id",
                condition=Q(is_host=False) | Q(external_id__isnull=False),
                violation_error_message="A host needs the external id the app knows it by.",
            ),
            models.CheckConstraint(
                name="rewards_user_external_id_is_visible_ascii",
                condition=Q(external_id__isnull=True) | Q(external_id__regex=EXTERNAL_ID_PATTERN),
                violation_error_message="External id: use 1 to 128 visible ASCII characters.",
            ),
        ]
        indexes: ClassVar = [
            # Read by the search for a host by how a name begins. Most hosts have no names, and
            # so no place in these.
            models.Index(
                OpClass(Upper("first_name"), "text_pattern_ops"),
                name="rewards_user_by_first_name",
                condition=~Q(first_name=""),
            ),
            models.Index(
                OpClass(Upper("last_name"), "text_pattern_ops"),
                name="rewards_user_by_last_name",
                condition=~Q(last_name=""),
            ),
            # Each batch looks its hosts up here: it is all but empty beside the users themselves.
            models.Index(
                fields=["id"],
                name="rewards_user_ineligible",
                condition=Q(is_host=False) | Q(left_on__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.external_id or self.username

    def clean(self) -> None:
        super().clean()
        # An empty form field would otherwise be a value that only one member of staff can have.
        self.external_id = self.external_id or None


class HostManager(UserManager["Host"]):
    def get_queryset(self) -> models.QuerySet[Host]:
        return super().get_queryset().filter(is_host=True)


class Host(User):
    """A user who is a host, seen apart from staff."""

    objects: ClassVar[HostManager] = HostManager()

    class Meta:
        proxy = True
        verbose_name = "host"
        verbose_name_plural = "hosts"

    @property
    def version_token(self) -> str:
        """Changes whenever a field that staff edit changes; for optimistic locking."""
        return f"{self.first_name!r} {self.last_name!r} {self.left_on}"
