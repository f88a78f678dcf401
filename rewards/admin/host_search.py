"""Search for the rows of one host in tables whose index begins with the day."""

from typing import Any, ClassVar, TypeVar

from django.contrib import messages
from django.db.models import Max, Min, Model, QuerySet
from django.http import HttpRequest

from rewards.admin.big_list import ReadOnlyAdmin, column
from rewards.admin.formatting import host_link
from rewards.engine.business_days import days_between
from rewards.models import User

Row = TypeVar("Row", bound=Model)


def rows_of_host(queryset: QuerySet[Row], *, user: int, day_field: str) -> QuerySet[Row]:
    """Return the rows of one host.

    The index begins with the day, so the query names every day, each of which is one index look-up;
    a condition on the host alone would read the whole index.
    """
    ends = queryset.model._default_manager.aggregate(first=Min(day_field), last=Max(day_field))
    if ends["first"] is None:
        return queryset.none()
    days = list(days_between(ends["first"], ends["last"]))
    return queryset.filter(**{"user_id": user, f"{day_field}__in": days})


def host_column() -> Any:
    """Return a column with a link to the host of a row."""
    return column("host", lambda row: host_link(row.user_id, row.user.external_id))


class HostSearchAdmin(ReadOnlyAdmin[Row]):
    """A read-only list with a search for the external id of a host."""

    day_field: ClassVar[str | None] = None
    """The first column of the table's index; None where that is the host."""

    search_fields = ("user__external_id",)
    search_help_text = "External id of a host"
    list_select_related: ClassVar[tuple[str, ...]] = ("user",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Row], search_term: str
    ) -> tuple[QuerySet[Row], bool]:
        external_id = search_term.strip()
        if not external_id:
            return queryset, False
        user = User.objects.filter(external_id=external_id).values_list("pk", flat=True).first()
        if user is None:
            messages.warning(request, f"No host has the external id “{external_id:.80}”.")
            return queryset.none(), False
        if self.day_field is None:
            return queryset.filter(user_id=user), False
        return rows_of_host(queryset, user=user, day_field=self.day_field), False
