import pytest
from django.core.exceptions import ValidationError
from django_celery_beat.models import CrontabSchedule, IntervalSchedule

from rewards.models import Schedule
from rewards.services.schedule import set_schedule

pytestmark = pytest.mark.django_db


@pytest.fixture
def tick():
    interval, _ = IntervalSchedule.objects.get_or_create(every=5, period=IntervalSchedule.MINUTES)
    return Schedule.objects.create(name="a tick", task="award_due", interval=interval)


@pytest.mark.parametrize("is_enabled", [True, False])
def test_a_task_starts_every_so_many_minutes(tick, is_enabled):
    set_schedule(schedule=tick, minutes=7, is_enabled=is_enabled)

    tick.refresh_from_db()
    assert (tick.interval.every, tick.interval.period) == (7, IntervalSchedule.MINUTES)
    assert tick.enabled is is_enabled


def test_an_interval_is_stored_once(tick):
    IntervalSchedule.objects.create(every=7, period=IntervalSchedule.HOURS)
    before = IntervalSchedule.objects.count()

    for _ in range(2):
        set_schedule(schedule=tick, minutes=7, is_enabled=True)

    assert IntervalSchedule.objects.count() == before + 1


def test_any_other_schedule_of_the_task_is_replaced(tick):
    tick.interval, tick.crontab = None, CrontabSchedule.objects.create(minute="5")
    tick.save()

    set_schedule(schedule=tick, minutes=7, is_enabled=True)

    tick.refresh_from_db()
    assert (tick.crontab, tick.solar, tick.clocked) == (None, None, None)
    assert tick.interval.every == 7


def test_an_invalid_schedule_is_refused(tick):
    tick.name = ""

    with pytest.raises(ValidationError):
        set_schedule(schedule=tick, minutes=7, is_enabled=True)
