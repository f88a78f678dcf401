"""The rules: what is in force, what comes next, and what was paid before."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.models import DELETION, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from rewards.admin.formatting import business_today, format_datetime, format_number
from rewards.admin.rules.cards import rule_card, rule_cards
from rewards.admin.rules.form import RuleForm, summary, writer
from rewards.admin.rules.preview import shown
from rewards.admin.theme import ModelAdmin
from rewards.choices import RuleType
from rewards.engine.business_days import ONE_DAY
from rewards.exceptions import QueryTimedOut, RuleRefused
from rewards.models import RewardRule
from rewards.reports.preview import LOOKBACKS, preview_rule
from rewards.selectors.rules import latest_version
from rewards.services import rules


@admin.register(RewardRule)
class RuleAdmin(ModelAdmin[RewardRule]):
    """Versions are written and withdrawn here, but never changed once they have begun."""

    form = RuleForm
    list_select_related = ("created_by",)
    chosen = ("threshold", "points", "starts_on", "is_active", "reason")
    """What a form asks for."""
    shown = ("rule_type", "asks_for", "pays", "first_day", "pays_at_all", "why", "who", "written")
    """What is shown of a version that is no longer to be changed."""
    readonly_fields = shown[1:]

    @admin.display(description="asks for")
    def asks_for(self, rule: RewardRule) -> str:
        return rule.asks

    @admin.display(description="points")
    def pays(self, rule: RewardRule) -> str:
        return format_number(rule.points)

    @admin.display(description="active", boolean=True)
    def pays_at_all(self, rule: RewardRule) -> bool:
        return rule.is_active

    @admin.display(description="first day")
    def first_day(self, rule: RewardRule) -> str:
        return str(rule.starts_on)

    @admin.display(description="why", empty_value="–")  # noqa: RUF001 - nothing to show
    def why(self, rule: RewardRule) -> str | None:
        return rule.reason or None

    @admin.display(description="written by")
    def who(self, rule: RewardRule) -> str:
        return writer(rule)

    @admin.display(description="written at")
    def written(self, rule: RewardRule) -> str | None:
        return format_datetime(rule.created_at)

    # What is shown, and what may be done

    def has_change_permission(self, request: HttpRequest, obj: RewardRule | None = None) -> bool:
        """A version may be changed until its first day."""
        return super().has_change_permission(request, obj) and _has_not_begun(obj)

    def has_delete_permission(self, request: HttpRequest, obj: RewardRule | None = None) -> bool:
        """A version may be withdrawn until its first day."""
        return super().has_delete_permission(request, obj) and _has_not_begun(obj)

    def get_fields(self, request: HttpRequest, obj: RewardRule | None = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            return self.shown
        return self.chosen if _type_at_hand(request, obj) else ("rule_type", *self.chosen)

    def get_readonly_fields(self, request: HttpRequest, obj: RewardRule | None = None) -> Any:
        return () if obj is None else ("rule_type", *self.readonly_fields)

    # Writing, which the form has done by the time the admin believes to begin

    def get_form(
        self, request: HttpRequest, obj: RewardRule | None = None, change: bool = False, **kw: Any
    ) -> type[forms.ModelForm[RewardRule]]:
        form = super().get_form(request, obj, change, **kw)
        context = {
            "author": request.user,
            "today": business_today(),
            "rule_type": _type_at_hand(request, obj),
        }
        return type("RuleForm", (form,), context)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Begin with what the rule says now, from tomorrow on or after all that is to come."""
        today = business_today()
        rule_type = _type_at_hand(request, None)
        latest = latest_version(rule_type=rule_type) if rule_type else None
        if latest is None:
            return {"starts_on": today + ONE_DAY}
        return {
            "threshold": latest.threshold,
            "points": latest.points,
            "is_active": latest.is_active,
            "starts_on": max(today, latest.starts_on) + ONE_DAY,
        }

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Do nothing: the form's validation has had the version written."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Do nothing: a version has no related rows."""

    def response_add(
        self, request: HttpRequest, obj: RewardRule, post_url_continue: str | None = None
    ) -> HttpResponse:
        messages.success(request, f"{obj.get_rule_type_display()}: {summary(obj)}.")
        return self.response_post_save_add(request, obj)

    def response_change(self, request: HttpRequest, obj: RewardRule) -> HttpResponse:
        messages.success(request, f"{obj.get_rule_type_display()}, changed: {summary(obj)}.")
        return self.response_post_save_change(request, obj)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        messages.success(request, f"Withdrawn: {obj_display}.")
        return HttpResponseRedirect(reverse("admin:rewards_rewardrule_changelist"))

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
        """Show the four rules, which need no list to be found in."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.GET:
            raise DisallowedModelAdminLookup("The rules are not filtered.")
        context = {
            "title": "Rules",
            "opts": self.opts,
            "cards": rule_cards(business_today()),
            "has_add_permission": False,  # each card has its own way to write a version
            "may_write": self.has_add_permission(request),
            "may_change": self.has_change_permission(request),
            "may_withdraw": self.has_delete_permission(request),
        }
        return TemplateResponse(
            request,
            "admin/rewards/rewardrule/rules.html",
            self.admin_site.each_context(request) | context | (extra_context or {}),
        )

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        rule = None if object_id is None else self.get_object(request, object_id)
        rule_type = _type_at_hand(request, rule)
        card = rule_card(rule_type, business_today()) if rule_type else None
        context: dict[str, Any] = {
            "show_save_and_add_another": False,
            "show_save_and_continue": False,
            "show_delete": False,  # the page has its own words for it
            "title": f"Change: {rule_type.label}" if rule_type else "Write a version of a rule",
            "card": card,
            "spans": LOOKBACKS,
            "next_version": 1 + len(card.history) if card else 1,
        }
        if rule is not None:
            context |= {"title": str(rule), "is_pending": _has_not_begun(rule)}
        return super().changeform_view(
            request, object_id, form_url, context | (extra_context or {})
        )

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        form = context["adminform"].form
        if form.is_bound and form.preview_days and not form.errors:
            version = form.version
            try:
                preview = preview_rule(
                    rule_type=RuleType(version.rule_type),
                    threshold=version.threshold,
                    points=version.points,
                    is_active=version.is_active,
                    days=form.preview_days,
                    today=business_today(),
                )
            except QueryTimedOut as refusal:
                messages.warning(request, str(refusal).capitalize())
            else:
                context["preview"] = shown(preview)
        return super().render_change_form(request, context, *args, **kwargs)


def _type_at_hand(request: HttpRequest, rule: RewardRule | None) -> RuleType | None:
    """Return the type that a page is about; None where it has to be chosen yet."""
    chosen = rule.rule_type if rule is not None else request.GET.get("rule_type", "")
    return RuleType(chosen) if chosen in RuleType.values else None


def _has_not_begun(rule: RewardRule | None) -> bool:
    return rule is None or rule.starts_on > business_today()
