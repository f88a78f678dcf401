"""Lists of tables that grow for ever: walked in the order of an index, never counted or sorted."""

from typing import Any, ClassVar, TypeVar

from django.contrib.admin import ShowFacets
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import InvalidPage
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from rewards.admin.paginator import LookAheadPage, LookAheadPaginator
from rewards.admin.theme import ModelAdmin

Row = TypeVar("Row", bound=Model)


class BigChangeList(ChangeList):
    """A list of open length, in the admin's order whatever the address asks for."""

    page: LookAheadPage

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        return list(self.model_admin.get_ordering(request))

    def get_results(self, request: HttpRequest) -> None:
        # Not the admin's own paginator, which its page of an object's history needs as well.
        self.paginator = LookAheadPaginator(self.queryset, self.list_per_page)
        try:
            self.page = self.paginator.page(self.page_num)
        except InvalidPage as error:
            raise IncorrectLookupParameters from error
        self.result_list = self.page.object_list
        self.result_count = self.full_result_count = len(self.result_list)
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = False
        self.multi_page = self.page.has_other_pages()


class BigListAdmin(ModelAdmin[Row]):
    """An admin whose list costs one page, however long the table.

    `ordering` must be served by an index, and `lookups` names every parameter of the address
    that may filter: any other is refused, since it would scan the table, or probe columns that
    are not shown.
    """

    list_title: ClassVar[str]
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

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in self.lookups

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": self.list_title} | (extra_context or {}))


class ReadOnlyAdmin(BigListAdmin[Row]):
    """An admin of what the engine wrote: for everyone to read who may, for nobody to change."""

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
        # What nobody changes has no history of changes.
        return super().change_view(
            request, object_id, form_url, {"show_history": False} | (extra_context or {})
        )
