"""Where the pages show live awards."""

from datetime import UTC, datetime

import pytest
from django.urls import reverse
from django.utils import timezone

from rewards.engine.business_days import monday_of, sunday_of
from rewards.models import AwardRun, ScoreHistory
from rewards.services.awarding.live import refresh_live_runs
from rewards.services.ingest import ingest_events
from tests.factories import HostFactory, RewardRuleFactory


@pytest.fixture
def award(db):
    """An award paid just now, and added up."""
    RewardRuleFactory(points=10)
    HostFactory(external_id="ana")
    login = {
        "event_id": "e1",
        "user_id": "ana",
        "kind": "login",
        "occurred_at": timezone.now().isoformat(),
    }
    ingest_events(events=[login], source="app", creates_hosts=False, now=timezone.now())
    refresh_live_runs(today=timezone.localdate())
    AwardRun.objects.update(counted_at=datetime(2026, 11, 16, 10, 35, tzinfo=UTC))
    return ScoreHistory.objects.get()


@pytest.fixture
def viewer(login):
    return login("Viewer")


def text_of(client, name, *args):
    return client.get(reverse(f"admin:{name}", args=args)).content.decode()


@pytest.mark.parametrize("name", ["index", "rewards_awardrun_journal"])
def test_a_page_shows_what_was_paid_live_and_when_that_was(client, viewer, award, name):
    assert (
        f"Live awards of {award.reference_date}: 1 award, 10 points, as of 2026-11-16 10:35:00 UTC."
        in text_of(client, name)
    )


def test_a_live_run_that_is_not_added_up_says_so(client, viewer, award):
    AwardRun.objects.update(counted_at=None)

    assert "not added up yet" in text_of(client, "index")


def test_the_page_of_a_host_shows_when_it_was_paid_live(client, viewer, award):
    text = text_of(client, "rewards_host_change", award.user_id)

    assert f"1 login (1 needed), live at {award.created_at:%H:%M}" in text


def test_an_explanation_says_when_it_was_paid_live(client, viewer, award):
    address = reverse("admin:rewards_host_explain", args=[award.user_id])
    text = client.get(address, {"day": str(award.reference_date)}).content.decode()

    assert f"paid 10 points live at {award.created_at:%H:%M}." in text


def test_the_open_leaderboard_says_as_of_when(client, viewer, award):
    monday = monday_of(award.reference_date)
    days = {"first": str(monday), "last": str(sunday_of(monday))}
    text = client.get(reverse("admin:rewards_score_leaderboard"), days).content.decode()

    assert "as of 2026-11-16 10:35:00 UTC" in text
