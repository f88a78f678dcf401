from http import HTTPStatus

from django.conf import settings
from django.contrib import admin
from django.core.paginator import InvalidPage
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path, re_path
from django.views.generic import RedirectView

from rewards.api.application import api
from rewards.api.problems import error_view, not_found

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


urlpatterns: list[URLPattern | URLResolver] = []

if settings.REWARDS_SERVE != "admin":
    urlpatterns += [
        path("api/v1/", api.urls),
        # Also without the slash at the end, which Django would add and so lose a body.
        re_path(r"^api(?:/|$)", not_found),
    ]

if settings.REWARDS_SERVE != "api":
    urlpatterns += [
        path("", RedirectView.as_view(pattern_name="admin:index")),
        path("admin/search/", admin.site.admin_view(search)),
        path("admin/", admin.site.urls),
    ]
else:
    # The pages of these errors link to the admin.
    handler400 = error_view(HTTPStatus.BAD_REQUEST)
    handler403 = error_view(HTTPStatus.FORBIDDEN)
    handler404 = error_view(HTTPStatus.NOT_FOUND)
    handler500 = error_view(HTTPStatus.INTERNAL_SERVER_ERROR)
