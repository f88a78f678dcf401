from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.contrib.postgres.indexes import OpClass
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper

EXTERNAL_ID_PATTERN = r"^[!-~]{1,128}$"
"""Visible ASCII characters are safe in logs, files and URLs."""

EXTERNAL_ID_FORMAT = "1 to 128 visible ASCII characters"


class User(AbstractUser):
    """A member of staff, a host, or both.

    Hosts sign in to the app, not here, so their password is unusable. A user with awards is never
    deleted; a host that leaves gets a `left_on`.
    """

    external_id = models.CharField(
        "external id",
        max_length=128,
        unique=True,
        null=True,
        blank=True,
        validators=[RegexValidator(EXTERNAL_ID_PATTERN, f"Use {EXTERNAL_ID_FORMAT}.")],
        error_messages={"unique": "Another user has this external id."},
        help_text="The id of this host in the app.",
    )

    is_host = models.BooleanField("host", default=False, help_text="Only hosts earn points.")
    left_on = models.DateField(
        "last day",
        null=True,
        blank=True,
        help_text="The last business day on which this host can earn. Empty while active.",
    )

    class Meta(AbstractUser.Meta):
        verbose_name = "member of staff"
        verbose_name_plural = "staff"
        constraints: ClassVar = [
            models.CheckConstraint(
                name="rewards_user_host_has_external_id",
                condition=Q(is_host=False) | Q(external_id__isnull=False),
                violation_error_message="A host needs an external id.",
            ),
            models.CheckConstraint(
                name="rewards_user_external_id_is_visible_ascii",
                condition=Q(external_id__isnull=True) | Q(external_id__regex=EXTERNAL_ID_PATTERN),
                violation_error_message=f"An external id is {EXTERNAL_ID_FORMAT}.",
            ),
        ]
        indexes: ClassVar = [
            # Read by the prefix search for hosts. Most hosts have no name, and no entry here.
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
            # Each batch looks up its hosts here. The index is small: most hosts are not in it.
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
        # The ids are unique: an empty text could be stored only once.
        self.external_id = self.external_id or None


class HostManager(UserManager["Host"]):
    def get_queryset(self) -> models.QuerySet[Host]:
        return super().get_queryset().filter(is_host=True)


class Host(User):
    """A user that is a host."""

    objects: ClassVar[HostManager] = HostManager()

    class Meta:
        proxy = True
        verbose_name = "host"
        verbose_name_plural = "hosts"

    @property
    def version_token(self) -> str:
        """Changes whenever a field that staff edit changes; for optimistic locking."""
        return f"{self.first_name!r} {self.last_name!r} {self.left_on}"
