"""The rules: what is in force, what comes next, and what was paid before."""

from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import DELETION, LogEntry
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html

from rewards.admin.rule_form import RuleForm, summary
from rewards.admin.theme import ModelAdmin, badge
from rewards.admin.wording import business_today, link, moment, number, terms
from rewards.calendar import ONE_DAY
from rewards.exceptions import RuleRefused
from rewards.models import RewardRule
from rewards.services import rules

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    class _Superseded(TypedDict):
        is_superseded: bool

    Version = WithAnnotations[RewardRule, _Superseded]
    """A version that knows whether a later one of its type has begun."""
else:
    Version = RewardRule

STATE_COLOURS = {"in force": "success", "paused": "warning", "next": "info"}


def state_of(version: Version, today: date) -> str:
    """Return where a version stands on `today`: next, in force, paused or past."""
    if version.starts_on > today:
        return "next"
    if version.is_superseded:
        return "past"
    return "in force" if version.is_active else "paused"


@admin.register(RewardRule)
class RuleAdmin(ModelAdmin[RewardRule]):
    """Versions are written and withdrawn here, but never changed once they have begun."""

    form = RuleForm
    actions = None
    show_facets = admin.ShowFacets.NEVER

    list_display = ("rule_type", "state", "asks_for", "pays", "first_day", "pays_at_all", "who")
    list_filter = ("rule_type",)
    list_select_related = ("created_by",)
    ordering = ("rule_type", "-starts_on")
    sortable_by = ()

    fields = ("rule_type", "threshold", "points", "starts_on", "is_active")

    @badge(description="state", colours=STATE_COLOURS)
    def state(self, version: Version) -> tuple[str, str]:
        state = state_of(version, business_today())
        return state, state

    @admin.display(description="asks for")
    def asks_for(self, rule: RewardRule) -> str:
        return terms(rule.rule_type, rule.threshold)

    @admin.display(description="points")
    def pays(self, rule: RewardRule) -> str:
        return number(rule.points)

    @admin.display(description="active", boolean=True)
    def pays_at_all(self, rule: RewardRule) -> bool:
        return rule.is_active

    @admin.display(description="first day")
    def first_day(self, rule: RewardRule) -> str:
        return str(rule.starts_on)

    @admin.display(description="written by")
    def who(self, rule: RewardRule) -> str:
        return str(rule.created_by) if rule.created_by else "command line"

    # What is shown, and what may be done

    def get_queryset(self, request: HttpRequest) -> QuerySet[RewardRule]:
        later = RewardRule.objects.filter(
            rule_type=OuterRef("rule_type"),
            starts_on__gt=OuterRef("starts_on"),
            starts_on__lte=business_today(),
        )
        return super().get_queryset(request).annotate(is_superseded=Exists(later))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup == "rule_type__exact"

    def has_change_permission(self, request: HttpRequest, obj: RewardRule | None = None) -> bool:
        """A version may be changed until its first day."""
        return super().has_change_permission(request, obj) and _has_not_begun(obj)

    def has_delete_permission(self, request: HttpRequest, obj: RewardRule | None = None) -> bool:
        """A version may be withdrawn until its first day."""
        return super().has_delete_permission(request, obj) and _has_not_begun(obj)

    def get_fields(self, request: HttpRequest, obj: RewardRule | None = None) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            return self.fields
        return ("rule_type", "asks_for", "pays", "first_day", "pays_at_all", "who")

    def get_readonly_fields(self, request: HttpRequest, obj: RewardRule | None = None) -> Any:
        # A version of another type is another version.
        shown = ("asks_for", "pays", "first_day", "pays_at_all", "who")
        return () if obj is None else ("rule_type", *shown)

    # Writing, which the form has done by the time the admin believes to begin

    def get_form(
        self, request: HttpRequest, obj: RewardRule | None = None, change: bool = False, **kw: Any
    ) -> type[forms.ModelForm[RewardRule]]:
        form = super().get_form(request, obj, change, **kw)
        return type("RuleForm", (form,), {"author": request.user, "today": business_today()})

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        tomorrow = business_today() + ONE_DAY
        return {"starts_on": tomorrow} | super().get_changeform_initial_data(request)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Do nothing: the form's validation has had the version written."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Do nothing: a version has no related rows."""

    def delete_model(self, request: HttpRequest, obj: RewardRule) -> None:
        rules.withdraw(rule=obj, today=business_today())

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(
                request, object_id, {"title": "Withdraw this version?"} | (extra_context or {})
            )
        except RuleRefused as refusal:
            # Its first day came between the question and the answer.
            messages.error(request, str(refusal))
            return HttpResponseRedirect(
                reverse("admin:rewards_rewardrule_change", args=[object_id])
            )

    # The log, with values

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        if add:
            return f"Written: {summary(form.version)}."
        return f"Was: {form.before}. Now: {summary(form.version)}."

    def log_deletions(self, request: HttpRequest, queryset: Any) -> list[LogEntry]:
        (rule,) = queryset
        assert request.user.pk is not None  # noqa: S101 - tells the type checker
        return LogEntry.objects.log_actions(
            user_id=request.user.pk,
            queryset=[rule],
            action_flag=DELETION,
            change_message=f"Withdrawn: {summary(rule)}.",
        )

    # Pages

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": "Rules"} | (extra_context or {}))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context: dict[str, Any] = {
            "show_save_and_add_another": False,
            "show_save_and_continue": False,
            "show_delete": False,  # the page has its own words for it
        }
        if object_id is None:
            context["title"] = "Write the next version of a rule"
        else:
            rule = self.get_object(request, object_id)
            if rule is not None:
                context |= self._about(request, rule)
        return super().changeform_view(
            request, object_id, form_url, context | (extra_context or {})
        )

    def _about(self, request: HttpRequest, rule: RewardRule) -> dict[str, Any]:
        """Return what the page of a version shows beside its fields."""
        today = business_today()
        versions: list[Any] = list(
            self.get_queryset(request)
            .filter(rule_type=rule.rule_type)
            .select_related("created_by")
            .order_by("-starts_on")
        )
        coming = [version for version in versions if version.starts_on > today]
        return {
            "title": rule.get_rule_type_display(),
            "seen": summary(rule),
            "is_pending": rule.starts_on > today,
            "next_version": coming[-1] if coming else None,
            # A version begins after every other one of its type.
            "next_version_url": _prefilled(rule, max(today, versions[0].starts_on) + ONE_DAY),
            "versions": {
                "headers": ["Days", "State", "Asks for", "Points", "Written by", "Written at"],
                "rows": [
                    self._history_row(version, until, today, is_shown=version.pk == rule.pk)
                    for until, version in _with_ends(versions)
                ],
            },
        }

    def _history_row(
        self, version: Any, until: date | None, today: date, *, is_shown: bool
    ) -> list[Any]:
        days = f"{version.starts_on} – {until or 'open'}"  # noqa: RUF001 - a range
        return [
            format_html("<strong>{}</strong>", days)
            if is_shown
            else link(days, "rewards_rewardrule_change", version.pk),
            state_of(version, today) + ("" if version.is_active else ", pays nothing"),
            terms(version.rule_type, version.threshold),
            number(version.points),
            self.who(version),
            moment(version.created_at),
        ]


def _has_not_begun(rule: RewardRule | None) -> bool:
    return rule is None or rule.starts_on > business_today()


def _with_ends(versions: list[Any]) -> list[tuple[date | None, Any]]:
    """Pair versions, latest first, with their last days; None for the one without a next."""
    ends = [later.starts_on - ONE_DAY for later, _ in pairwise(versions)]
    return list(zip([None, *ends], versions, strict=False))


def _prefilled(rule: RewardRule, starts_on: date) -> str:
    """Return the address of the form for a version with the terms of `rule`."""
    values = {
        "rule_type": rule.rule_type,
        "threshold": rule.threshold,
        "points": rule.points,
        "starts_on": starts_on,
    }
    return f"{reverse('admin:rewards_rewardrule_add')}?{urlencode(values)}"
