"""A filter by a range of days; by default the latest ones."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin import FieldListFilter, ModelAdmin
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.db.models import Field, Max, Model, QuerySet
from django.http import HttpRequest

from rewards.admin.theme import RangeDateForm
from rewards.engine.business_days import FIRST_MONDAY, parse_day


class DayRangeFilter(FieldListFilter):
    """Two days, both included, either of which may be empty.

    With neither, and without a search, the list shows the latest days, so that a second filter
    reads a bounded range. The page names the range.
    """

    latest_days: ClassVar[int | None] = 7
    """None for all days. Seven days hold one Monday, and so the awards of one week."""

    template = "unfold/filters/filters_date_range.html"
    form_class = RangeDateForm  # the theme adds the scripts it names to the page

    def __init__(
        self,
        field: Field[Any, Any],
        request: HttpRequest,
        params: dict[str, Any],
        model: type[Model],
        model_admin: ModelAdmin[Any],
        field_path: str,
    ) -> None:
        self.request = request
        super().__init__(field, request, params, model, model_admin, field_path)
        self.is_readable = True
        self.first = self._day("from")
        self.last = self._day("to")
        self.is_default = False
        if (
            self.latest_days
            and self.is_readable
            and not (self.first or self.last or request.GET.get(SEARCH_VAR))
        ):
            self._set_latest_days(model, self.latest_days)

    def expected_parameters(self) -> list[str | None]:
        return [f"{self.field_path}_from", f"{self.field_path}_to"]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.is_readable:
            return queryset.none()
        if self.first:
            queryset = queryset.filter(**{f"{self.field_path}__gte": self.first})
        if self.last:
            queryset = queryset.filter(**{f"{self.field_path}__lte": self.last})
        return queryset

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        texts = {name: self._text(name) for name in self.expected_parameters() if name}
        if self.is_default:
            texts = dict(zip(texts, (str(self.first), str(self.last)), strict=True))
        yield {
            "request": self.request,
            "parameter_name": self.field_path,
            "form": self.form_class(name=self.field_path, data=texts),
        }

    @property
    def scope(self) -> str:
        """The days that the list shows, in words."""
        if not self.is_readable:
            return ""
        if self.is_default:
            return f"The latest {self.latest_days} days: {self.first} to {self.last}."
        if self.first and self.last:
            return f"{self.first} to {self.last}."
        if self.first:
            return f"From {self.first} on."
        return f"Up to {self.last}." if self.last else ""

    def _text(self, name: str) -> str:
        values: Any = self.used_parameters.get(name) or [""]
        return str(values[-1]).strip(" ")

    def _day(self, end: str) -> date | None:
        text = self._text(f"{self.field_path}_{end}")
        if not text:
            return None
        try:
            return parse_day(text, first=FIRST_MONDAY)
        except ValueError as error:
            self.is_readable = False
            messages.error(self.request, f"Filter “{self.title}”, {end}: {error}")
            return None

    def _set_latest_days(self, model: type[Model], days: int) -> None:
        """Set the range to the latest days, which are read from the end of an index."""
        latest = model._default_manager.aggregate(latest=Max(self.field_path))["latest"]
        if latest is not None:
            self.is_default = True
            self.first, self.last = latest - timedelta(days=days - 1), latest
