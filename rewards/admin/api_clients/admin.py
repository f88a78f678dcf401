"""Clients of the API and their keys, for superusers only. Services write them."""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.db import transaction
from django.db.models import Max, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.cache import patch_cache_control

from rewards.admin.api_clients.form import ClientForm, NewClientForm, NewKeyForm, initial_values
from rewards.admin.big_list import column
from rewards.admin.formatting import business_today, format_datetime, format_number
from rewards.admin.locking import stale_page_error
from rewards.admin.log import describe_changes, log
from rewards.admin.pages import page, require, row_or_404
from rewards.admin.staff import SuperuserAdmin
from rewards.admin.theme import badge
from rewards.exceptions import ClientChanged, ClientRefused, KeyRefused
from rewards.models import ApiClient, ApiKey, User
from rewards.selectors.api_clients import keys_of
from rewards.services import api_clients

CLIENT_COLOURS = {"active": "success", "inactive": "danger"}

KEY_COLOURS = {"valid": "success", "inactive": "warning"}
"""Other states have no colour."""


@admin.register(ApiClient)
class ApiClientAdmin(SuperuserAdmin[ApiClient]):
    list_title = "API clients"
    ordering = ("source",)
    actions = None
    list_display = ("name", "source", "scope_list", "limit", "state", "last_used")

    scope_list = column("scopes", lambda client: ", ".join(client.scopes))
    limit = column(
        "requests a second",
        lambda client: (
            "no limit"
            if client.requests_per_second is None
            else format_number(client.requests_per_second)
        ),
    )
    last_used = column("last used on", lambda client: str(client.last_used_on or "never"))

    @badge(description="state", colours=CLIENT_COLOURS)
    def state(self, client: ApiClient) -> tuple[str, str]:
        return ("active", "active") if client.is_active else ("inactive", "inactive")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiClient]:
        return super().get_queryset(request).annotate(last_used_on=Max("keys__last_used_on"))

    def has_delete_permission(self, request: HttpRequest, obj: ApiClient | None = None) -> bool:
        """Nobody deletes a client: the source of its events is its own."""
        return False

    # Pages

    def get_urls(self) -> list[URLPattern]:
        create_key = path(
            "<int:client>/create-key/",
            self.admin_site.admin_view(self.create_key_view),
            name="rewards_apiclient_create_key",
        )
        revoke_key = path(
            "<int:client>/revoke-key/<int:key>/",
            self.admin_site.admin_view(self.revoke_key_view),
            name="rewards_apiclient_revoke_key",
        )
        return [create_key, revoke_key, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        require(self.has_add_permission(request))
        form = NewClientForm(request.POST or None)
        if form.is_valid():
            try:
                with transaction.atomic():
                    client = api_clients.create_client(**form.cleaned_data)
                    self.log_addition(request, client, f"Added with the source {client.source}.")
            except ClientRefused as refusal:
                form.add_error("source", str(refusal))
            else:
                messages.success(request, f"{client} was added. Create its first key below.")
                return _redirect_to(client)
        return page(
            self,
            request,
            "form_page.html",
            title="Add API client",
            form=form,
            media=self.media + form.media,
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        """Show a client with its keys, and change it."""
        require(self.has_change_permission(request))
        client = row_or_404(self, request, object_id)
        form = ClientForm(request.POST or None, initial=initial_values(client))
        if form.is_valid() and self._save(request, client, form):
            return _redirect_to(client)
        return self._page(request, client, form, NewKeyForm())

    def create_key_view(self, request: HttpRequest, client: int) -> HttpResponse:
        """Create a key by POST, and show its text on the page of the answer, the only time."""
        require(self.has_change_permission(request) and request.method == "POST")
        row = row_or_404(self, request, str(client))
        form = NewKeyForm(request.POST)
        if form.is_valid():
            try:
                with transaction.atomic():
                    created = api_clients.create_key(
                        client=row,
                        now=timezone.now(),
                        today=business_today(),
                        expires_on=form.cleaned_data["expires_on"],
                        author=cast(User, request.user),
                    )
                    log(request, [row], CHANGE, f"Created the key {created.key}.")
            except KeyRefused as refusal:
                form.add_error(None, str(refusal))
            else:
                shown = page(
                    self,
                    request,
                    "apiclient/key.html",
                    title="The new key",
                    original=row,
                    text=created.text,
                    back=_address_of(row),
                )
                patch_cache_control(shown, no_store=True)
                return shown
        return self._page(request, row, ClientForm(initial=initial_values(row)), form)

    def revoke_key_view(self, request: HttpRequest, client: int, key: int) -> HttpResponse:
        """Ask, then revoke a key."""
        require(self.has_change_permission(request))
        row = row_or_404(self, request, str(client))
        found = next((one for one in keys_of(row) if one.pk == key), None)
        if found is None:
            raise Http404(f"{row} has no such key.")
        if request.method == "POST":
            with transaction.atomic():
                _, is_new = api_clients.revoke_key(prefix=found.prefix, now=timezone.now())
                if is_new:
                    log(request, [row], CHANGE, f"Revoked the key {found}.")
            messages.success(request, f"{found} is revoked.")
            return _redirect_to(row)
        return page(
            self,
            request,
            "apiclient/revoke.html",
            title="Revoke this key?",
            original=row,
            key=found,
            used=found.last_used_on or "never",
            back=_address_of(row),
        )

    def _save(self, request: HttpRequest, client: ApiClient, form: ClientForm) -> bool:
        try:
            with transaction.atomic():
                update = api_clients.update_client(client=client.pk, **form.parameters())
                changes = {str(form[name].label): values for name, values in update.changes.items()}
                self.log_change(request, client, describe_changes(changes))
        except ClientChanged:
            form.add_error(None, stale_page_error(client))
        except ClientRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"{update.client}: {describe_changes(changes)}")
            return True
        return False

    def _page(
        self, request: HttpRequest, client: ApiClient, form: ClientForm, key_form: NewKeyForm
    ) -> HttpResponse:
        today = business_today()
        return page(
            self,
            request,
            "apiclient/change.html",
            title=str(client),
            original=client,
            form=form,
            key_form=key_form,
            keys=[_key_row(key, key.state_on(today)) for key in keys_of(client)],
            media=self.media + form.media + key_form.media,
        )


def _key_row(key: ApiKey, state: str) -> dict[str, Any]:
    return {
        "key": key,
        "state": state,
        "colour": KEY_COLOURS.get(state, "default"),
        "created": format_datetime(key.created_at),
        "author": key.created_by or "the command line",
        "expires": key.expires_on or "never",
        "used": key.last_used_on or "never",
        "may_revoke": key.revoked_at is None,
    }


def _address_of(client: ApiClient) -> str:
    return reverse("admin:rewards_apiclient_change", args=[client.pk])


def _redirect_to(client: ApiClient) -> HttpResponseRedirect:
    return HttpResponseRedirect(_address_of(client))
