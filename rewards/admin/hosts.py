"""The hosts: who they are, what they have, and why."""

from datetime import date, timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from rewards.admin.activity import calls
from rewards.admin.big_list import BigListAdmin
from rewards.admin.fields import DayField
from rewards.admin.host_search import rows_of_host
from rewards.admin.theme import badge
from rewards.admin.wording import business_today, link, moment, number, period_of_rule, week
from rewards.calendar import days_between
from rewards.models import DailyActivity, Host, Score, ScoreHistory

RECENT_AWARDS = 30
RECENT_DAYS = 28

STATE_COLOURS = {"active": "success", "leaving": "warning"}


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
        fields = ("external_id", "left_on")

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
    search_help_text = "External id, or how it begins"
    list_select_related = ("score",)
    list_display = ("external_id", "state", "lifetime", "weekly", "daily")
    actions = ("deactivate",)

    @badge(description="state", colours=STATE_COLOURS)
    def state(self, host: Host) -> tuple[str, str]:
        if host.left_on is None:
            return "active", "active"
        if host.left_on >= business_today():
            return "leaving", f"leaves after {host.left_on}"
        return "left", f"left after {host.left_on}"

    @admin.display(description="state")
    def standing(self, host: Host) -> str:
        return self.state(host)[1]

    @admin.display(description="lifetime")
    def lifetime(self, host: Host) -> str:
        score = _score(host)
        return number(score.lifetime) if score else "0"

    @admin.display(description="weekly", empty_value="none yet")
    def weekly(self, host: Host) -> str | None:
        score = _score(host)
        return f"{number(score.weekly)} ({week(score.week_start)})" if score else None

    @admin.display(description="daily", empty_value="none yet")
    def daily(self, host: Host) -> str | None:
        score = _score(host)
        return f"{number(score.daily)} ({score.daily_date})" if score else None

    @admin.display(description="known since")
    def known_since(self, host: Host) -> str | None:
        return moment(host.date_joined)

    # What is shown, and what may be done

    def has_delete_permission(self, request: HttpRequest, obj: Host | None = None) -> bool:
        """Nobody deletes a host: one who leaves gets a last day."""
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Host | None = None) -> Any:
        if obj is None:
            return ((None, {"fields": ("external_id",)}),)
        return (
            ("Identity", {"fields": ("external_id", "known_since", "standing", "left_on")}),
            ("Scores", {"fields": ("lifetime", "weekly", "daily")}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Host | None = None) -> Any:
        # The app knows the host by this key; another key is another host.
        shown = ("known_since", "standing", "lifetime", "weekly", "daily")
        return () if obj is None else ("external_id", *shown)

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
        before, after = form.initial.get("left_on"), form.instance.left_on
        return f"Last day: was {before or 'none'}, now {after or 'none'}."

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

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context: dict[str, Any] = {"show_save_and_continue": False}
        host = None if object_id is None else self.get_object(request, object_id)
        if host is not None and request.method != "POST":
            context |= _about(host)
        return super().changeform_view(
            request, object_id, form_url, context | (extra_context or {})
        )


def _about(host: Host) -> dict[str, Any]:
    """Return what the page of a host shows beside its fields, in a fixed number of queries."""
    today = business_today()
    days = list(days_between(today - timedelta(days=RECENT_DAYS - 1), today))
    activity = [
        [
            str(day.date),
            number(day.logins),
            calls(day.audio_calls, day.audio_seconds),
            calls(day.video_calls, day.video_seconds),
        ]
        for day in DailyActivity.objects.filter(user=host, date__in=days).order_by("-date")
    ]
    awards = (
        rows_of_host(
            ScoreHistory.objects.select_related("run"), user=host.pk, day_field="reference_date"
        ).order_by("-reference_date", "-rule_type")
    )[:RECENT_AWARDS]
    return {
        "today": today,
        "may_deactivate": host.left_on is None,
        "awards": {
            "headers": ["For", "Rule type", "Points", "Counted", "Run"],
            "rows": [_award_row(award) for award in awards],
        },
        "activity": {
            "headers": ["Business day", "Logins", "Completed audio calls", "Completed video calls"],
            "rows": activity,
        },
        "activity_title": f"Activity: {len(activity)} active days of the last {RECENT_DAYS}",
        "awards_title": f"Latest awards, {RECENT_AWARDS} at most",
    }


def _award_row(award: ScoreHistory) -> list[str | SafeString]:
    return [
        link(
            period_of_rule(award.rule_type, award.reference_date),
            "rewards_scorehistory_change",
            award.pk,
        ),
        award.get_rule_type_display(),
        number(award.points),
        f"{award.measured:,} (needed {award.threshold:,})",
        link(f"attempt {award.run.attempt}", "rewards_awardrun_change", award.run_id),
    ]


def _score(host: Host) -> Score | None:
    """Return the score of a host; one who never earned has none."""
    score: Score | None = getattr(host, "score", None)
    return score
