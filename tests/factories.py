"""Valid rows with plain values, unless a test overrides them."""

from datetime import UTC, date, datetime
from typing import Any

import factory
from django.contrib.auth.hashers import make_password

from rewards.choices import (
    ActivityKind,
    ApiScope,
    Cadence,
    RuleType,
    RunKind,
    RunStatus,
    RunTrigger,
)
from rewards.engine.business_days import monday_of
from rewards.models import (
    ActivityEvent,
    ApiClient,
    ApiKey,
    AwardRun,
    DailyActivity,
    Host,
    RewardRule,
    Score,
    ScoreHistory,
    User,
)
from rewards.selectors.api_clients import digest_of

A_MONDAY = date(2026, 11, 16)
"""The default day of tests, and the Monday of their week."""


class HostFactory(factory.django.DjangoModelFactory[Host]):
    class Meta:
        model = Host

    external_id = factory.Sequence(lambda n: f"host-{n}")
    username = factory.LazyAttribute(lambda host: f"host:{host.external_id}")
    password = factory.LazyFunction(lambda: make_password(None))
    is_host = True


class StaffFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"staff-{n}")
    password = factory.LazyFunction(lambda: make_password("correct horse battery"))
    is_staff = True


class RewardRuleFactory(factory.django.DjangoModelFactory[RewardRule]):
    class Meta:
        model = RewardRule

    rule_type = RuleType.DAILY_LOGIN
    threshold = 1
    points = 10
    starts_on = date(2026, 1, 1)


class DailyActivityFactory(factory.django.DjangoModelFactory[DailyActivity]):
    class Meta:
        model = DailyActivity

    user = factory.SubFactory(HostFactory)
    date = A_MONDAY
    logins = 1


class ActivityEventFactory(factory.django.DjangoModelFactory[ActivityEvent]):
    class Meta:
        model = ActivityEvent

    source = "app"
    event_id = factory.Sequence(lambda n: f"event-{n}")
    user = factory.SubFactory(HostFactory)
    kind = ActivityKind.LOGIN
    occurred_at = datetime(2026, 11, 16, 12, tzinfo=UTC)
    duration_seconds = 0
    business_date = factory.LazyAttribute(lambda event: event.occurred_at.date())


class AwardRunFactory(factory.django.DjangoModelFactory[AwardRun]):
    class Meta:
        model = AwardRun

    cadence = Cadence.DAILY
    reference_date = A_MONDAY
    attempt = factory.Sequence(lambda n: n + 1)
    trigger = RunTrigger.COMMAND
    status = RunStatus.DONE
    started_at = datetime(2026, 11, 17, 0, 5, tzinfo=UTC)
    finished_at = datetime(2026, 11, 17, 0, 6, tzinfo=UTC)
    events_seen = 0


class ScoreHistoryFactory(factory.django.DjangoModelFactory[ScoreHistory]):
    class Meta:
        model = ScoreHistory

    user = factory.SubFactory(HostFactory)
    rule_type = factory.LazyAttribute(lambda award: award.rule.rule_type)
    reference_date = A_MONDAY
    points = factory.LazyAttribute(lambda award: award.rule.points)
    rule = factory.SubFactory(RewardRuleFactory)
    measured = factory.LazyAttribute(lambda award: award.threshold)
    threshold = factory.LazyAttribute(lambda award: award.rule.threshold)
    run = factory.SubFactory(AwardRunFactory)

    @classmethod
    def _create(cls, model_class: type[ScoreHistory], *args: Any, **kwargs: Any) -> ScoreHistory:
        run: AwardRun | None = kwargs["run"]
        if run is None:
            return super()._create(model_class, *args, **kwargs)
        # A run that has ended takes no awards.
        this_run = AwardRun.objects.filter(pk=run.pk)
        is_live = run.kind == RunKind.LIVE
        this_run.update(status=RunStatus.LIVE if is_live else RunStatus.RUNNING, finished_at=None)
        award = super()._create(model_class, *args, **kwargs)
        this_run.update(status=run.status, finished_at=run.finished_at)
        return award


class ScoreFactory(factory.django.DjangoModelFactory[Score]):
    class Meta:
        model = Score

    user = factory.SubFactory(HostFactory)
    lifetime = 10
    daily = 10
    daily_date = A_MONDAY
    weekly = 10
    week_start = factory.LazyAttribute(lambda score: monday_of(score.daily_date))


class ApiClientFactory(factory.django.DjangoModelFactory[ApiClient]):
    class Meta:
        model = ApiClient

    name = "The app"
    source = factory.Sequence(lambda n: f"app-{n}")
    scopes = factory.LazyFunction(lambda: list(ApiScope.values))


SECRET = "s" * 43

_DIGITS = "abcdefghijklmnopqrstuvwxyz"


class ApiKeyFactory(factory.django.DjangoModelFactory[ApiKey]):
    """A valid key; `key_text` returns its text."""

    class Meta:
        model = ApiKey

    client = factory.SubFactory(ApiClientFactory)
    prefix = factory.Sequence(lambda n: "".join(_DIGITS[int(digit)] for digit in f"{n:08}"))
    digest = factory.LazyFunction(lambda: digest_of(SECRET))
    created_at = datetime(2026, 11, 1, 12, tzinfo=UTC)


def key_text(key):
    return f"rwd_{key.prefix}_{SECRET}"
