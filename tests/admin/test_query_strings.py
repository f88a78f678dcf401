"""URL parameters do not reach other columns, orders or rows."""

import pytest
from django.contrib import admin
from django.urls import reverse

from rewards.models import Host
from tests.factories import HostFactory, StaffFactory

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


@pytest.mark.parametrize("model", sorted(admin.site._registry, key=str))
def test_a_list_filters_by_what_it_offers_only(client, login, model):
    login("superuser")
    options = model._meta

    changelist = reverse(f"admin:{options.app_label}_{options.model_name}_changelist")

    answers = {probe: client.get(changelist, {probe: "a"}) for probe in PROBES}

    assert {probe: answer.status_code for probe, answer in answers.items()} == dict.fromkeys(
        PROBES, 400
    )
    assert all(b"This request is invalid" in answer.content for answer in answers.values())


def test_a_list_keeps_its_order(client, login):
    login("Viewer")
    for external_id in ["b", "a", "c"]:
        HostFactory(external_id=external_id)

    page = client.get(reverse("admin:rewards_host_changelist"), {"o": "-0"})

    assert [host.external_id for host in page.context["cl"].result_list] == ["a", "b", "c"]


def test_a_row_is_found_by_its_key_only(client, login):
    login("superuser")
    host = HostFactory(external_id="h-1")
    address = reverse("admin:rewards_host_change", args=[host.pk])

    found = client.get(address, {"_to_field": "password"})
    missing = client.get(address.replace(f"/{host.pk}/", "/h-1/"))
    staff = reverse("admin:rewards_user_change", args=[StaffFactory().pk])

    assert found.context["original"] == host
    assert missing.status_code == 404
    assert client.get(staff, {"_to_field": "password"}).status_code == 400


def test_a_member_of_staff_is_no_host(client, login):
    person = login("Operator")

    answer = client.post(
        reverse("admin:rewards_host_change", args=[person.pk]), {"left_on": "2026-11-16"}
    )

    person.refresh_from_db()
    assert answer.status_code == 404
    assert person.left_on is None
    assert not Host.objects.filter(pk=person.pk).exists()


def test_a_host_is_no_member_of_staff(client, login):
    login("superuser")
    host = HostFactory()

    answer = client.post(reverse("admin:auth_user_password_change", args=[host.pk]))

    assert answer.status_code == 404


@pytest.mark.parametrize("page", ["abc", "0", "-1", "99", "1.5", "\x00"])
def test_the_search_of_the_theme_has_no_other_pages(client, login, page):
    login("Viewer")

    assert client.get("/admin/search/", {"s": "run"}).status_code == 200
    assert client.get("/admin/search/", {"s": "run", "page": page}).status_code == 404


def test_the_search_of_the_theme_is_for_staff(client):
    assert client.get("/admin/search/", {"s": "run"}).status_code == 302
