"""Pages of a table too large to be counted."""

from collections.abc import Sequence
from typing import Any

from django.core.paginator import EmptyPage, Page, Paginator

MAX_PAGES = 200
"""Rows before a page are walked past one by one; whoever wants older ones narrows the days."""


class LookAheadPage(Page[Any]):
    """A page that knows whether another one follows, because one row more was fetched."""

    def __init__(
        self,
        object_list: Sequence[Any],
        number: int,
        paginator: "LookAheadPaginator",
        *,
        is_followed: bool,
    ) -> None:
        super().__init__(object_list, number, paginator)
        self.is_followed = is_followed

    def has_next(self) -> bool:
        return self.is_followed and not self.is_last_reachable

    @property
    def is_last_reachable(self) -> bool:
        """Whether there may be more, but no page to show it."""
        return self.number >= MAX_PAGES


class LookAheadPaginator(Paginator[Any]):
    """A paginator that never counts: each page is one query for its rows and the next one."""

    template_name = "admin/rewards/pagination.html"  # read by the theme

    @property
    def num_pages(self) -> int:
        """How many pages can be asked for; whether they hold anything is not known."""
        return MAX_PAGES

    @property
    def count(self) -> int:
        raise NotImplementedError("rows of a huge table are not counted")

    def page(self, number: int | str) -> LookAheadPage:
        """Return one page, fetched. Raises InvalidPage when there is none of that number."""
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        rows = list(self.object_list[first : first + self.per_page + 1])
        if not rows and number > 1:
            raise EmptyPage("that page contains no results")
        return LookAheadPage(
            rows[: self.per_page], number, self, is_followed=len(rows) > self.per_page
        )
