"""The hosts: who they are, what they have, and why."""

from datetime import date
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.views.main import SEARCH_VAR
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from rewards.admin.big_list import BigListAdmin
from rewards.admin.fields import DayField
from rewards.admin.formatting import business_today, format_datetime, format_number, format_week
from rewards.admin.hosts.explanation import explained
from rewards.admin.hosts.page import about, parse_month, score_of
from rewards.admin.theme import badge
from rewards.engine.business_days import ONE_DAY
from rewards.models import Host
from rewards.selectors.hosts import hosts_named

MAX_NAMED = 100
"""Hosts found by their names; more of them are no answer."""

STATE_COLOURS = {"active": "success", "leaving": "warning"}


class DayForm(forms.Form):
    """Asks for the day to explain."""

    day = DayField()


class HostForm(forms.ModelForm[Host]):
    """Adds a host by the app's key, or sets the last day of one."""

    today: ClassVar[date]
    """Set on the class that the admin makes for each request."""

    left_on = DayField(
        label="Last day",
        required=False,
        help_text="The last business day on which this host earns, as YYYY-MM-DD; empty while "
        "active. Emptied again, the days in between count too when they are awarded again.",
    )

    class Meta:
        model = Host
        fields = ("external_id", "first_name", "last_name", "left_on")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "external_id" in self.fields:
            self.fields["external_id"].required = True
        if not self.instance.pk:
            # Set before validation, which holds a host to having an external id.
            self.instance.is_host = True

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "_deactivate" in self.data and self.initial.get("left_on") is None:
            cleaned["left_on"] = self.today
        return cleaned

    def save(self, commit: bool = True) -> Host:
        host = self.instance
        if not host.pk:
            # A colon is refused in the names of staff, so the two can never meet.
            host.username = f"host:{host.external_id}"
            host.set_unusable_password()
        return super().save(commit)


@admin.register(Host)
class HostAdmin(BigListAdmin[Host]):
    list_title = "Hosts"
    form = HostForm
    ordering = ("external_id",)
    search_fields = ("external_id__startswith",)
    search_help_text = "External id or name, or how it begins"
    list_select_related = ("score",)
    list_display = ("external_id", "full_name", "state", "lifetime", "weekly", "daily")
    actions = ("deactivate",)

    @admin.display(description="name")
    def full_name(self, host: Host) -> str:
        return host.get_full_name() or "–"  # noqa: RUF001 - nothing to show

    @badge(description="state", colours=STATE_COLOURS)
    def state(self, host: Host) -> tuple[str, str]:
        return self._standing(host)

    def _standing(self, host: Host) -> tuple[str, str]:
        if host.left_on is None:
            return "active", "active"
        if host.left_on >= business_today():
            return "leaving", f"leaves after {host.left_on}"
        return "left", f"left after {host.left_on}"

    @admin.display(description="lifetime")
    def lifetime(self, host: Host) -> str:
        score = score_of(host)
        return format_number(score.lifetime) if score else "0"

    @admin.display(description="weekly", empty_value="none yet")
    def weekly(self, host: Host) -> str | None:
        score = score_of(host)
        return f"{format_number(score.weekly)} ({format_week(score.week_start)})" if score else None

    @admin.display(description="daily", empty_value="none yet")
    def daily(self, host: Host) -> str | None:
        score = score_of(host)
        return f"{format_number(score.daily)} ({score.daily_date})" if score else None

    @admin.display(description="known since")
    def known_since(self, host: Host) -> str | None:
        return format_datetime(host.date_joined)

    # What is shown, and what may be done

    def has_delete_permission(self, request: HttpRequest, obj: Host | None = None) -> bool:
        """Nobody deletes a host: one who leaves gets a last day."""
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Host | None = None) -> Any:
        if obj is None:
            return ((None, {"fields": ("external_id", "first_name", "last_name")}),)
        names = ("external_id", "first_name", "last_name")
        return (("Host", {"fields": (*names, "left_on", "known_since")}),)

    def get_readonly_fields(self, request: HttpRequest, obj: Host | None = None) -> Any:
        # The app knows the host by this key; another key is another host.
        return () if obj is None else ("external_id", "known_since")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Host], search_term: str
    ) -> tuple[QuerySet[Host], bool]:
        """Search by how the external id begins, as it is written, or how a name does."""
        text = search_term.strip()
        if not text:
            return queryset, False
        named = hosts_named(name=text, limit=MAX_NAMED)
        return queryset.filter(Q(external_id__startswith=text) | Q(pk__in=named)), False

    # Writing

    def get_form(
        self, request: HttpRequest, obj: Host | None = None, change: bool = False, **kw: Any
    ) -> type[forms.ModelForm[Host]]:
        form = super().get_form(request, obj, change, **kw)
        return type("HostForm", (form,), {"today": business_today()})

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        if add:
            return f"Added as {form.instance.username}."
        values = {
            "First name": (form.initial.get("first_name"), form.instance.first_name),
            "Last name": (form.initial.get("last_name"), form.instance.last_name),
            "Last day": (form.initial.get("left_on"), form.instance.left_on),
        }
        changed = [
            f"{name}: was {before or 'none'}, now {after or 'none'}"
            for name, (before, after) in values.items()
            if before != after
        ]
        return f"{'; '.join(changed)}." if changed else "Nothing changed."

    @admin.action(description="Deactivate (last day: today)", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        today = business_today()
        with transaction.atomic():
            active = list(queryset.filter(left_on__isnull=True).select_for_update(of=("self",)))
            Host.objects.filter(pk__in=[host.pk for host in active]).update(left_on=today)
            assert request.user.pk is not None  # noqa: S101 - tells the type checker
            LogEntry.objects.log_actions(
                user_id=request.user.pk,
                queryset=active,
                action_flag=CHANGE,
                change_message=f"Last day: was none, now {today}.",
            )
        done = f"Hosts deactivated, with {today} as their last day: {len(active)}."
        messages.success(request, f"{done} Those who had a last day already keep it.")

    # Pages

    def get_urls(self) -> list[URLPattern]:
        explanation = path(
            "<int:user>/explain/",
            self.admin_site.admin_view(self.explain_view),
            name="rewards_host_explain",
        )
        return [explanation, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Go straight to the host whose external id was asked for."""
        asked = request.GET.get(SEARCH_VAR, "").strip()
        host = Host.objects.filter(external_id=asked).first() if asked else None
        if host is not None and self.has_view_permission(request, host):
            return HttpResponseRedirect(reverse("admin:rewards_host_change", args=[host.pk]))
        return super().changelist_view(request, extra_context)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context: dict[str, Any] = {
            "show_save_and_continue": False,
            "show_save_and_add_another": False,
        }
        host = None if object_id is None else self.get_object(request, object_id)
        if host is not None and request.method != "POST":
            today = business_today()
            month = parse_month(request.GET.get("month", ""), today=today)
            context |= about(host, month=month, today=today)
            colour, standing = self._standing(host)
            context["standing"] = {"colour": STATE_COLOURS.get(colour, ""), "text": standing}
        return super().changeform_view(
            request, object_id, form_url, context | (extra_context or {})
        )

    def explain_view(self, request: HttpRequest, user: int) -> HttpResponse:
        """Explain a business day of a host, by default the last one that has ended."""
        host = get_object_or_404(Host, pk=user)
        if not self.has_view_permission(request, host):
            raise PermissionDenied
        now = timezone.now()
        yesterday = business_today() - ONE_DAY
        form = DayForm({"day": request.GET.get("day", str(yesterday))})
        context = explained(host, form.cleaned_data["day"], now) if form.is_valid() else {}
        return TemplateResponse(
            request,
            "admin/rewards/host/explain.html",
            self.admin_site.each_context(request)
            | {
                "title": f"{host}: why, or why not",
                "opts": self.opts,
                "original": host,
                "form": form,
                "media": self.media + form.media,
            }
            | context,
        )
