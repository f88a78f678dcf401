"""Hosts: the list, the page of a host, and the explanation of a day."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.contrib.admin.views.main import SEARCH_VAR
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from rewards.admin.big_list import BigListAdmin, column
from rewards.admin.formatting import (
    NOTHING,
    business_today,
    format_daily,
    format_datetime,
    format_number,
    format_weekly,
)
from rewards.admin.hosts.explanation import explanation_context
from rewards.admin.hosts.form import DayForm, HostForm, NewHostForm
from rewards.admin.hosts.page import (
    STATE_COLOURS,
    host_context,
    host_state,
    parse_month,
    score_of,
)
from rewards.admin.locking import stale_page_error
from rewards.admin.log import describe_changes, log
from rewards.admin.pages import page, require, row_or_404
from rewards.admin.theme import badge
from rewards.engine.business_days import ONE_DAY
from rewards.exceptions import HostChanged, HostRefused
from rewards.models import Host
from rewards.selectors.hosts import hosts_named
from rewards.services import hosts
from rewards.wording import count

MAX_NAMED = 100
"""Hosts that a search by name finds."""


@admin.register(Host)
class HostAdmin(BigListAdmin[Host]):
    ordering = ("external_id",)
    search_fields = ("external_id__startswith",)
    search_help_text = "External id or name, or its first letters"
    list_select_related = ("score",)
    list_display = ("external_id", "full_name", "state", "lifetime", "weekly", "daily")
    actions = ("deactivate", "reactivate")

    full_name = column("name", lambda host: host.get_full_name() or NOTHING)

    @badge(description="state", colours=STATE_COLOURS)
    def state(self, host: Host) -> tuple[str, str]:
        return host_state(host)

    lifetime = column(
        "lifetime", lambda host: format_number(getattr(score_of(host), "lifetime", 0))
    )
    weekly = column("weekly", lambda host: format_weekly(score_of(host)))
    daily = column("daily", lambda host: format_daily(score_of(host)))

    def has_delete_permission(self, request: HttpRequest, obj: Host | None = None) -> bool:
        """Hosts are never deleted: one that leaves gets a last day."""
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Host], search_term: str
    ) -> tuple[QuerySet[Host], bool]:
        """Search for the prefix of an external id, in its case, or of a name, in any case."""
        text = search_term.strip()
        if not text:
            return queryset, False
        named = hosts_named(name=text, limit=MAX_NAMED)
        return queryset.filter(Q(external_id__startswith=text) | Q(pk__in=named)), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect to the host whose whole external id was searched for."""
        text = request.GET.get(SEARCH_VAR, "").strip()
        host = Host.objects.filter(external_id=text).first() if text else None
        if host is not None and self.has_view_permission(request, host):
            return _redirect_to(host)
        return super().changelist_view(request, extra_context)

    # Deactivation of several hosts

    @admin.action(description="Deactivate (last day: today)", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        today = business_today()
        with transaction.atomic():
            changed = hosts.deactivate(hosts=_keys(queryset), last_day=today)
            log(request, changed, CHANGE, f"Last day: was none, now {today}.")
        text = f"{count(len(changed), 'host')} deactivated; the last day is {today}."
        messages.success(request, f"{text} Hosts that have a last day keep it.")

    @admin.action(description="Reactivate (no last day)", permissions=["change"])
    def reactivate(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        with transaction.atomic():
            changed = hosts.reactivate(hosts=_keys(queryset))
            for host in changed:
                log(request, [host], CHANGE, f"Last day: was {host.left_on}, now none.")
        messages.success(request, f"{count(len(changed), 'host')} reactivated.")

    # Pages

    def get_urls(self) -> list[URLPattern]:
        explanation = path(
            "<int:user>/explain/",
            self.admin_site.admin_view(self.explain_view),
            name="rewards_host_explain",
        )
        return [explanation, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        require(self.has_add_permission(request))
        form = NewHostForm(request.POST or None)
        if form.is_valid():
            try:
                with transaction.atomic():
                    host = hosts.create_host(**form.cleaned_data)
                    self.log_addition(request, host, f"Added as {host.username}.")
            except HostRefused as refusal:
                form.add_error("external_id", str(refusal))
            else:
                messages.success(request, f"{host} was added.")
                return _redirect_to(host)
        return page(self, request, "form_page.html", title="Add host", form=form)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        """Show a host, and change its names and its last day."""
        host = row_or_404(self, request, object_id)
        may_change = self.has_change_permission(request, host)
        require(may_change or (request.method != "POST" and self.has_view_permission(request)))
        form = HostForm(request.POST or None, initial=_initial(host))
        if form.is_valid() and self._save(request, host, form):
            return _redirect_to(host)
        today = business_today()
        month = parse_month(request.GET.get("month", ""), today=today)
        return page(
            self,
            request,
            "host/change.html",
            title=str(host),
            original=host,
            known_since=format_datetime(host.date_joined),
            today=today,
            form=form if may_change else None,
            media=self.media + form.media,
            **host_context(host, month=month, today=today),
        )

    def _save(self, request: HttpRequest, host: Host, form: HostForm) -> bool:
        values = {name: form.cleaned_data[name] for name in ("first_name", "last_name", "left_on")}
        if "_deactivate" in request.POST:
            values["left_on"] = host.left_on or business_today()
        try:
            with transaction.atomic():
                update = hosts.update_host(
                    host=host.pk, expected_token=form.cleaned_data["version_token"], **values
                )
                changes = {str(form[name].label): values for name, values in update.changes.items()}
                self.log_change(request, host, describe_changes(changes))
        except HostChanged:
            form.add_error(None, stale_page_error(host))
        except HostRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"{host}: {describe_changes(changes)}")
            return True
        return False

    def explain_view(self, request: HttpRequest, user: int) -> HttpResponse:
        """Explain a business day of a host, by default the last one that has ended."""
        host = get_object_or_404(Host, pk=user)
        require(self.has_view_permission(request, host))
        form = DayForm({"day": request.GET.get("day", str(business_today() - ONE_DAY))})
        context = (
            explanation_context(host, form.cleaned_data["day"], timezone.now())
            if form.is_valid()
            else {}
        )
        return page(
            self,
            request,
            "host/explain.html",
            title=f"{host}: why, or why not",
            original=host,
            form=form,
            media=self.media + form.media,
            **context,
        )


def _redirect_to(host: Host) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:rewards_host_change", args=[host.pk]))


def _initial(host: Host) -> dict[str, Any]:
    return {
        "first_name": host.first_name,
        "last_name": host.last_name,
        "left_on": host.left_on,
        "version_token": host.version_token,
    }


def _keys(queryset: QuerySet[Host]) -> list[int]:
    return list(queryset.values_list("pk", flat=True))
