"""The rules: one card for each, a form for the next version, a preview before it is written."""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from rewards.admin.formatting import business_today, format_datetime, format_number
from rewards.admin.log import log
from rewards.admin.pages import page, require, row_or_404
from rewards.admin.rules.cards import author, pays, rule_card, rule_cards, summary
from rewards.admin.rules.form import RuleForm, initial_values
from rewards.admin.rules.preview import preview_context
from rewards.admin.theme import ModelAdmin
from rewards.choices import RuleType
from rewards.exceptions import InvalidStartDate, QueryTimedOut, RuleChanged, RuleRefused
from rewards.models import RewardRule, User
from rewards.reports.preview import LOOKBACKS, preview_rule
from rewards.selectors.rules import latest_version, version_token
from rewards.services import rules


@admin.register(RewardRule)
class RuleAdmin(ModelAdmin[RewardRule]):
    """Versions are written and withdrawn here. One that has begun never changes."""

    def has_change_permission(self, request: HttpRequest, obj: RewardRule | None = None) -> bool:
        return super().has_change_permission(request, obj) and _is_pending(obj)

    def has_delete_permission(self, request: HttpRequest, obj: RewardRule | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _is_pending(obj)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show a card for each rule type."""
        require(self.has_view_permission(request))
        if request.GET:
            raise DisallowedModelAdminLookup("The rules are not filtered.")
        return page(
            self,
            request,
            "rewardrule/rules.html",
            title="Rules",
            cards=rule_cards(business_today()),
            may_add=self.has_add_permission(request),
            may_change=self.has_change_permission(request),
            may_withdraw=self.has_delete_permission(request),
        )

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Write the next version of the rule type in the address."""
        require(self.has_add_permission(request))
        rule_type = request.GET.get("rule_type", "")
        if rule_type not in RuleType.values:
            return _to_the_rules()
        return self._edit(request, RuleType(rule_type), None)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        """Change a version that has not begun; show any other."""
        version = row_or_404(self, request, object_id)
        if self.has_change_permission(request, version):
            return self._edit(request, RuleType(version.rule_type), version)
        require(request.method != "POST" and self.has_view_permission(request, version))
        return page(
            self,
            request,
            "rewardrule/version.html",
            title=str(version),
            original=version,
            is_pending=_is_pending(version),
            may_add=self.has_add_permission(request),
            card=rule_card(RuleType(version.rule_type), business_today()),
            details=[
                ("Threshold", version.asks),
                ("Points", format_number(version.points)),
                ("First day", str(version.starts_on)),
                ("Active", "yes" if version.is_active else "no, the rule is paused"),
                ("Why", version.reason),
                ("Written by", author(version)),
                ("Written at", format_datetime(version.created_at)),
            ],
        )

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Ask, then withdraw a version that has not begun."""
        version = row_or_404(self, request, object_id)
        require(self.has_delete_permission(request, version))
        if request.method == "POST":
            self._withdraw(request, version)
            return _to_the_rules()
        latest = latest_version(rule_type=RuleType(version.rule_type))
        return page(
            self,
            request,
            "rewardrule/withdraw.html",
            title="Withdraw this version?",
            original=version,
            pays=pays(version),
            version_token=version_token(latest),
        )

    def _edit(
        self, request: HttpRequest, rule_type: RuleType, version: RewardRule | None
    ) -> HttpResponse:
        today = business_today()
        form = RuleForm(
            request.POST or None,
            rule_type=rule_type,
            initial=initial_values(rule_type, version, today),
        )
        preview = None
        if form.is_valid() and self._write(request, rule_type, version, form):
            if form.preview_days is None:
                return _to_the_rules()
            preview = _preview(request, rule_type, form)
        return page(
            self,
            request,
            "rewardrule/edit.html",
            title=str(version) if version else f"Change: {rule_type.label}",
            original=version,
            card=rule_card(rule_type, today),
            form=form,
            lookbacks=LOOKBACKS,
            preview=preview,
            media=self.media + form.media,
            may_withdraw=version is not None and self.has_delete_permission(request, version),
        )

    def _write(
        self, request: HttpRequest, rule_type: RuleType, version: RewardRule | None, form: RuleForm
    ) -> bool:
        """Write a version, or for a preview only try to; a refusal is an error of the form."""
        parameters = form.parameters() | {
            "today": business_today(),
            "author": cast(User, request.user),
            "is_dry_run": form.preview_days is not None,
        }
        try:
            with transaction.atomic():
                if version is None:
                    report = rules.set_rule(rule_type=rule_type, **parameters)
                    if not report.is_new:
                        raise RuleRefused("This version exists already.")
                    written, message = report.version, f"Written: {summary(report.version)}."
                else:
                    written = rules.change_pending(rule=version, **parameters)
                    message = f"Was: {summary(version)}. Now: {summary(written)}."
                if form.preview_days is None:
                    log(request, [written], CHANGE if version else ADDITION, message)
                    messages.success(request, f"{rule_type.label}: {summary(written)}.")
        except RuleChanged:
            form.add_error(None, _stale_page_error(rule_type))
        except InvalidStartDate as refusal:
            form.add_error("starts_on", str(refusal))
        except RuleRefused as refusal:
            form.add_error(None, str(refusal))
        return form.is_valid()

    def _withdraw(self, request: HttpRequest, version: RewardRule) -> None:
        try:
            with transaction.atomic():
                log(request, [version], DELETION, f"Withdrawn: {summary(version)}.")
                rules.withdraw(
                    rule=version,
                    today=business_today(),
                    expected_token=request.POST.get("version_token", ""),
                )
        except RuleChanged:
            messages.error(request, _stale_page_error(RuleType(version.rule_type)))
        except RuleRefused as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, f"Withdrawn: {version}.")


def _preview(request: HttpRequest, rule_type: RuleType, form: RuleForm) -> dict[str, Any] | None:
    values = form.cleaned_data
    try:
        return preview_context(
            preview_rule(
                rule_type=rule_type,
                threshold=values["threshold"],
                points=values["points"],
                is_active=values["is_active"],
                days=form.preview_days or LOOKBACKS[0],
                today=business_today(),
            )
        )
    except QueryTimedOut as refusal:
        messages.warning(request, str(refusal))
        return None


def _stale_page_error(rule_type: RuleType) -> str:
    """Return who changed a rule last, when, and what it says now: the log has withdrawals too."""
    version = latest_version(rule_type=rule_type)
    entry = (
        LogEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(RewardRule),
            object_repr__startswith=f"{rule_type.label} from ",
        )
        .select_related("user")
        .first()
    )
    if entry is not None and (version is None or entry.action_time >= version.created_at):
        who, when = str(entry.user), entry.action_time
    elif version is not None:
        who, when = author(version), version.created_at
    else:
        return "This rule has changed since you opened this page; reload it."
    now = summary(version) if version else "nothing"
    return (
        f"This rule was changed by {who} at {format_datetime(when)}; its latest version says: "
        f"{now}. Reload this page and make your change again."
    )


def _to_the_rules() -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:rewards_rewardrule_changelist"))


def _is_pending(version: RewardRule | None) -> bool:
    return version is None or version.starts_on > business_today()
