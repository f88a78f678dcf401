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
    """The fields of a new host."""

    external_id = forms.CharField(
        label="External id", widget=TextWidget(), help_text="The id of this host in the app."
    )
    field_order = ("external_id", "first_name", "last_name")


class HostForm(NamesForm, VersionTokenForm):
    """The fields of a host that may change. The external id never does."""

    left_on = DayField(
        label="Last day",
        required=False,
        help_text="The last business day on which this host can earn, as YYYY-MM-DD; empty while "
        "active. If you clear this, the host can earn for the days in between the next time they "
        "are awarded.",
    )
