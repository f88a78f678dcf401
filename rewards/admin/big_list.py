"""Lists of tables that grow without limit: read in the order of an index, never sorted."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from rewards.admin.theme import ModelAdmin

Row = TypeVar("Row", bound=Model)

MAX_COUNTED = 10_000
"""Rows of a list that are counted and have pages."""


def column(description: str, show: Callable[[Any], object]) -> Any:
    """Return a column of a list, or a field of a page: `show` returns what a row has there."""
    return staticmethod(admin.display(description=description)(show))


class BigChangeList(ChangeList):
    """A list in the order of the admin; the URL cannot change it."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        return list(self.model_admin.get_ordering(request))

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.full_result_count = self.result_count  # shown once, below the list

    @property
    def count_label(self) -> str:
        """The number of rows: "10,000+" where there are more than are counted."""
        count = self.result_count
        return f"{MAX_COUNTED:,}+" if count > MAX_COUNTED else f"{count:,}"


class BigListAdmin(ModelAdmin[Row]):
    """An admin whose list costs the same for any length of the table.

    `ordering` must be served by an index. `lookups` names every URL parameter that may filter. Any
    other is refused, because it would scan the table or probe columns that are not shown.
    """

    list_title: ClassVar[str] = ""
    """The heading; by default the plural of the model's name."""
    lookups: ClassVar[frozenset[str]] = frozenset()

    list_per_page = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # a facet is a COUNT
    sortable_by = ()
    list_filter_submit = True
    list_disable_select_all = True
    list_before_template = "admin/rewards/list_scope.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BigChangeList

    def get_paginator(
        self, request: HttpRequest, queryset: Any, per_page: int, *args: Any, **kwargs: Any
    ) -> Paginator[Row]:
        # One row more than are shown as a number, so that "more" is known.
        return Paginator(queryset[: MAX_COUNTED + 1], per_page)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in self.lookups

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        title = self.list_title or str(self.opts.verbose_name_plural).capitalize()
        return super().changelist_view(request, {"title": title} | (extra_context or {}))


class ReadOnlyAdmin(BigListAdmin[Row]):
    """A read-only admin, for rows that the engine writes."""

    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        # Rows that never change have no history.
        return super().change_view(
            request, object_id, form_url, {"show_history": False} | (extra_context or {})
        )
