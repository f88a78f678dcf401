"""The forms of a client and of a new key. They validate; services/api_clients.py writes."""

from typing import Any

from django import forms

from rewards.admin.fields import DayField, WholeNumberField
from rewards.admin.locking import VersionTokenForm
from rewards.admin.theme import CheckboxesWidget, SwitchWidget, TextWidget
from rewards.choices import ApiScope
from rewards.models import ApiClient
from rewards.models.api import MAX_REQUESTS_PER_SECOND


class NewClientForm(forms.Form):
    """The fields of a new client."""

    name = forms.CharField(max_length=100, widget=TextWidget(), help_text="Shown to staff only.")
    source = forms.CharField(
        max_length=64,
        widget=TextWidget(),
        help_text="The source of all events that this client sends. It cannot be changed.",
    )
    scopes = forms.MultipleChoiceField(
        choices=ApiScope.choices, widget=CheckboxesWidget(), help_text="What its keys allow."
    )
    creates_hosts = forms.BooleanField(
        label="Creates hosts",
        required=False,
        widget=SwitchWidget(),
        help_text="Whether an event of an unknown host creates that host. If off, it is rejected.",
    )
    requests_per_second = WholeNumberField(
        label="Requests a second",
        required=False,
        min_value=1,
        max_value=MAX_REQUESTS_PER_SECOND,
        help_text="More are refused with status 429. Empty for no limit.",
    )


class ClientForm(NewClientForm, VersionTokenForm):
    """The fields of a client that may change. The source never does."""

    source = None  # type: ignore[assignment]  # Django's way to leave out an inherited field
    is_active = forms.BooleanField(
        label="Active",
        required=False,
        widget=SwitchWidget(),
        help_text="Clear to refuse all keys of this client.",
    )

    def parameters(self) -> dict[str, Any]:
        """Return what the service takes."""
        values = dict(self.cleaned_data)
        return values | {"expected_token": values.pop("version_token")}


class NewKeyForm(forms.Form):
    expires_on = DayField(
        label="Last day",
        required=False,
        help_text="The last business day on which the key is accepted, as YYYY-MM-DD. Empty for no "
        "end.",
    )


def initial_values(client: ApiClient) -> dict[str, Any]:
    """Return the initial values of the form of `client`."""
    fields = ("name", "scopes", "creates_hosts", "requests_per_second", "is_active")
    values = {name: getattr(client, name) for name in fields}
    return values | {"version_token": client.version_token}
