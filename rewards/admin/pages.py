"""Helpers for our own views."""

from typing import Any, TypeVar

from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse

Row = TypeVar("Row", bound=Model)


def page(
    model_admin: ModelAdmin[Any], request: HttpRequest, template: str, *, title: str, **context: Any
) -> TemplateResponse:
    """Return the page of a template in `admin/rewards/`; `original` is the row that it shows."""
    shared = model_admin.admin_site.each_context(request)
    # The theme makes the heading of these: the list and the row, or the title.
    heading = {"opts": model_admin.opts} if context.get("original") else {"content_title": title}
    return TemplateResponse(
        request, f"admin/rewards/{template}", {**shared, "title": title, **heading, **context}
    )


def row_or_404(model_admin: ModelAdmin[Row], request: HttpRequest, object_id: str) -> Row:
    """Return the row of the list that the address names."""
    row = model_admin.get_object(request, unquote(object_id))
    if row is None:
        raise Http404(f"There is no {model_admin.opts.verbose_name} {object_id!a:.80}.")
    return row


def require(is_permitted: bool) -> None:
    if not is_permitted:
        raise PermissionDenied
