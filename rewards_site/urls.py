from django.contrib import admin
from django.core.paginator import InvalidPage
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.views.generic import RedirectView

from rewards.api.application import api

admin.site.site_header = "Rewards"
admin.site.site_title = "Rewards"
admin.site.index_title = "Overview"


def search(request: HttpRequest) -> HttpResponse:
    """The theme's search; a page number that does not exist is a 404 instead of an error."""
    try:
        response: HttpResponse = admin.site.search(request)  # type: ignore[attr-defined]  # the theme's
    except (InvalidPage, ValueError):
        raise Http404("There is no such page of results.") from None
    return response


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/search/", admin.site.admin_view(search)),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
]
