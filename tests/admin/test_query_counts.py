"""What each page asks of the database, with few hosts and with many."""

from datetime import UTC, datetime

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from rewards.choices import RuleType, RunTrigger
from rewards.models import ActivityEvent, AwardRun, DailyActivity, Host, RewardRule, ScoreHistory
from tests.awards import award_daily
from tests.factories import A_MONDAY, RewardRuleFactory

NOW = datetime(2026, 11, 17, 12, tzinfo=UTC)

# Session and user are two of each.
QUERIES = {
    "index": 15,
    "rewards_rewardrule_changelist": 3,
    "rewards_rewardrule_change": 6,
    "rewards_host_changelist": 3,
    "rewards_host_changelist?q=h-7": 10,
    "rewards_host_change": 7,
    "rewards_host_explain?day=2026-11-16": 13,
    "rewards_scorehistory_changelist": 4,
    "rewards_scorehistory_changelist?q=h-7": 5,
    "rewards_scorehistory_changelist?rule_type__exact=DAILY_LOGIN": 4,
    "rewards_scorehistory_change": 6,
    "rewards_score_changelist": 3,
    "rewards_score_leaderboard": 6,
    "rewards_awardrun_journal": 8,
    "rewards_awardrun_changelist": 3,
    "rewards_awardrun_change": 6,
    "rewards_dailyactivity_changelist": 4,
    "rewards_dailyactivity_changelist?q=h-7": 5,
    "rewards_dailyactivity_change": 4,
    "rewards_activityevent_changelist": 4,
    "rewards_activityevent_change": 4,
    "rewards_user_changelist": 3,
}


def fill(hosts):
    """Let so many more hosts be active on a Monday, and award it."""
    known = Host.objects.count()
    made = Host.objects.bulk_create(
        Host(username=f"host:{n}", external_id=f"h-{n}", is_host=True)
        for n in range(known, known + hosts)
    )
    DailyActivity.objects.bulk_create(
        DailyActivity(user=host, date=A_MONDAY, logins=1, audio_calls=1) for host in made
    )
    ActivityEvent.objects.bulk_create(
        ActivityEvent(
            source="app",
            event_id=host.external_id,
            user=host,
            kind="login",
            occurred_at=datetime(2026, 11, 16, 12, tzinfo=UTC),
            duration_seconds=0,
            business_date=A_MONDAY,
        )
        for host in made
    )
    award_daily(day=A_MONDAY, now=NOW, trigger=RunTrigger.COMMAND)


def addresses():
    award = ScoreHistory.objects.earliest("pk")
    about = {
        "rewards_rewardrule_change": RewardRule.objects.earliest("pk").pk,
        "rewards_host_change": award.user_id,
        "rewards_host_explain": award.user_id,
        "rewards_awardrun_change": AwardRun.objects.earliest("pk").pk,
        "rewards_scorehistory_change": award.pk,
        "rewards_activityevent_change": award.user.activity.get().pk,
        "rewards_dailyactivity_change": award.user.daily_activity.get().pk,
    }
    for name in QUERIES:
        page, _, query = name.partition("?")
        arguments = [about[page]] if page in about else []
        yield name, f"{reverse(f'admin:{page}', args=arguments)}?{query}"


def counted(client):
    client.get(reverse("admin:index"))  # which saves the session, once a minute
    found = {}
    for name, address in addresses():
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get(address, follow=True).status_code == 200
        found[name] = len(queries)
    return found


def test_each_page_asks_the_same_of_a_hundred_hosts_and_of_five_thousand(client, login):
    login("superuser")
    RewardRuleFactory(threshold=1, points=10)
    RewardRuleFactory(rule_type=RuleType.DAILY_AUDIO_CALL_TARGET, threshold=1, points=20)

    fill(100)
    few = counted(client)
    fill(4_900)
    many = counted(client)

    assert few == QUERIES
    assert many == QUERIES
