"""What cannot be learnt, or got at, by writing something else into the address."""

import pytest
from django.contrib import admin
from django.urls import reverse

from rewards.models import Host
from tests.factories import HostFactory, ScoreHistoryFactory

PROBES = [
    "user__password__startswith",
    "user__email__contains",
    "user__is_superuser__exact",
    "password__startswith",
    "score__lifetime__gt",
    "run__error__contains",
    "created_by__password__startswith",
    "awards__rule__created_by__password__startswith",
    "logentry__change_message__contains",
    "pk__gt",
]


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("model", sorted(admin.site._registry, key=str))
def test_a_list_filters_by_nothing_it_does_not_offer(client, login, model, probe):
    login("superuser")
    options = model._meta

    answer = client.get(
        reverse(f"admin:{options.app_label}_{options.model_name}_changelist"), {probe: "a"}
    )

    assert answer.status_code == 400
    assert b"This request cannot be read" in answer.content


def test_a_list_keeps_its_order_whatever_the_address_asks(client, login):
    login("Viewer")
    for external_id in ["b", "a", "c"]:
        HostFactory(external_id=external_id)

    page = client.get(reverse("admin:rewards_host_changelist"), {"o": "-3.1"})

    assert [host.external_id for host in page.context["cl"].result_list] == ["a", "b", "c"]


def test_the_name_of_a_column_is_no_door_to_an_object(client, login):
    login("Operator")
    award = ScoreHistoryFactory(user=HostFactory(external_id="h-1"))
    host = reverse("admin:rewards_host_change", args=[award.user_id])

    assert client.get(host, {"_to_field": "password"}).status_code == 400
    assert client.get(host.replace(f"/{award.user_id}/", "/h-1/")).status_code == 302


def test_a_member_of_staff_is_no_host(client, login):
    person = login("Operator")

    answer = client.post(
        reverse("admin:rewards_host_change", args=[person.pk]), {"left_on": "2026-11-16"}
    )

    person.refresh_from_db()
    assert answer.status_code == 302  # back to the start: no such host
    assert person.left_on is None
    assert not Host.objects.filter(pk=person.pk).exists()


def test_a_host_is_no_member_of_staff(client, login):
    login("superuser")
    host = HostFactory()

    answer = client.post(reverse("admin:auth_user_password_change", args=[host.pk]))

    assert answer.status_code == 404


@pytest.mark.parametrize("page", ["abc", "0", "-1", "99", "1.5", "\x00"])
def test_the_theme_s_search_has_no_page_that_is_not_there(client, login, page):
    login("Viewer")

    assert client.get("/admin/search/", {"s": "run"}).status_code == 200
    assert client.get("/admin/search/", {"s": "run", "page": page}).status_code == 404


def test_the_theme_s_search_is_for_staff(client):
    assert client.get("/admin/search/", {"s": "run"}).status_code == 302
