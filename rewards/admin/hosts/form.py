"""The forms of a host. They validate; services/hosts.py writes."""

from django import forms

from rewards.admin.fields import DayField
from rewards.admin.locking import VersionTokenForm
from rewards.admin.theme import TextWidget


class DayForm(forms.Form):
    """The day to explain."""

    day = DayField()


class NamesForm(forms.Form):
    first_name = forms.CharField(max_length=150, required=False, widget=TextWidget())
    last_name = forms.CharField(max_length=150, required=False, widget=TextWidget())


class NewHostForm(NamesForm):
    """What a host has from its first day on."""

    external_id = forms.CharField(
        label="External id", widget=TextWidget(), help_text="The app's own key of this host."
    )
    field_order = ("external_id", "first_name", "last_name")


class HostForm(NamesForm, VersionTokenForm):
    """What may change of a host. The app knows it by its external id, which never changes."""

    left_on = DayField(
        label="Last day",
        required=False,
        help_text="The last business day on which this host earns, as YYYY-MM-DD; empty while "
        "active. If you clear this, the host can earn for the days in between the next time they "
        "are awarded.",
    )
