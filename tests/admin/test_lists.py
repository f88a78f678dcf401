"""The lists: each opens, and counts 10,000 rows at most."""

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from rewards.admin import big_list
from rewards.models import Host
from tests.admin.conftest import words
from tests.factories import (
    ActivityEventFactory,
    DailyActivityFactory,
    HostFactory,
    ScoreFactory,
    ScoreHistoryFactory,
)

HOSTS = reverse("admin:rewards_host_changelist")


def test_every_list_opens_under_the_name_of_its_model(client, login):
    login("superuser")
    award = ScoreHistoryFactory()
    for factory in (ScoreFactory, DailyActivityFactory, ActivityEventFactory):
        factory(user=award.user)
    titles = {}

    for model in admin.site._registry:
        options = model._meta
        page = client.get(reverse(f"admin:{options.app_label}_{options.model_name}_changelist"))
        titles[model.__name__] = page.context["title"], str(options.verbose_name_plural)

    assert titles == {
        "ActivityEvent": ("Activity events", "activity events"),
        "ApiClient": ("API clients", "API clients"),
        "AwardRun": ("All runs", "runs"),
        "DailyActivity": ("Daily activity", "daily activity"),
        "Group": ("Groups", "groups"),
        "Host": ("Hosts", "hosts"),
        "RewardRule": ("Rules", "rules"),
        "Schedule": ("Schedule", "schedule"),
        "Score": ("Scores", "scores"),
        "ScoreHistory": ("Awards", "awards"),
        "User": ("Staff", "staff"),
    }


def test_an_adjustment_has_its_row_and_its_page(client, login):
    login("Viewer")
    none = dict.fromkeys(("rule", "run", "measured", "threshold"))
    adjustment = ScoreHistoryFactory(rule_type="ADJUSTMENT", points=-5, **none)

    listed = words(client.get(reverse("admin:rewards_scorehistory_changelist")))
    shown = words(client.get(reverse("admin:rewards_scorehistory_change", args=[adjustment.pk])))

    for page in (listed, shown):
        assert "Adjustment" in page
        assert "-5" in page


@pytest.fixture
def limit(monkeypatch):
    """Lists count three rows, and show two on a page."""
    monkeypatch.setattr(big_list, "MAX_COUNTED", 3)
    monkeypatch.setattr(admin.site._registry[Host], "list_per_page", 2)


@pytest.mark.parametrize(
    ("hosts", "label"),
    [(1, "1 host"), (2, "2 hosts"), (3, "3 hosts"), (4, "3+ hosts"), (9, "3+ hosts")],
)
def test_a_list_counts_its_rows_up_to_a_limit(client, login, limit, hosts, label):
    login("Viewer")
    HostFactory.create_batch(hosts)

    page = client.get(HOSTS)

    assert page.context["cl"].count_label == label.partition(" ")[0]
    assert f" {label}" in words(page)
    assert "results" not in words(page)


def test_a_list_has_pages_up_to_the_limit(client, login, limit):
    login("Viewer")
    for n in range(9):
        HostFactory(external_id=f"h-{n}")

    pages = [client.get(HOSTS, {"p": n}) for n in (1, 2)]
    beyond = client.get(HOSTS, {"p": 3})

    found = [[str(host) for host in page.context["cl"].result_list] for page in pages]
    assert found == [["h-0", "h-1"], ["h-2", "h-3"]]
    assert beyond.status_code == 302


def test_a_count_reads_one_row_more_than_its_limit(client, login):
    login("Viewer")
    HostFactory()

    with CaptureQueriesContext(connection) as queries:
        client.get(HOSTS)

    (count,) = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert "LIMIT 10001" in count
