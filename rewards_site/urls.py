from django.contrib import admin
from django.core.paginator import InvalidPage
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.views.generic import RedirectView

admin.site.site_header = "Rewards"
admin.site.site_title = "Rewards"
admin.site.index_title = "Overview"


def search(request: HttpRequest) -> HttpResponse:
    """Answer the search of the theme, which has no answer of its own for a page that is not."""
    try:
        found: HttpResponse = admin.site.search(request)  # type: ignore[attr-defined]  # the theme's
    except (InvalidPage, ValueError):
        raise Http404("There is no such page of what was found.") from None
    return found


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/search/", admin.site.admin_view(search)),
    path("admin/", admin.site.urls),
]
