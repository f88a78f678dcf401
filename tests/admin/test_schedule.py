import pytest
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTasks

from rewards.models import Schedule
from tests.admin.conftest import fields


@pytest.fixture
def schedule(db):
    # The row of the migration may have been flushed by a transactional test.
    interval, _ = IntervalSchedule.objects.get_or_create(every=5, period=IntervalSchedule.MINUTES)
    return Schedule.objects.create(name="a tick", task="award_due", interval=interval)


def save(client, schedule, **values):
    """Save the form with changes; None leaves a field out."""
    address = reverse("admin:rewards_schedule_change", args=[schedule.pk])
    sent = fields(client.get(address)) | values
    return client.post(address, {name: value for name, value in sent.items() if value is not None})


def test_an_interval_is_chosen_in_minutes(client, login, schedule):
    login("superuser")
    before = PeriodicTasks.last_change()

    answer = save(client, schedule, minutes="10")

    schedule.refresh_from_db()
    assert answer.status_code == 302
    assert (str(schedule.interval), schedule.enabled) == ("every 10 minutes", True)
    assert PeriodicTasks.last_change() > before  # so that beat notices


def test_an_interval_that_exists_is_used_again(client, login, schedule):
    login("superuser")
    interval = IntervalSchedule.objects.create(every=10, period=IntervalSchedule.MINUTES)

    save(client, schedule, minutes="10")

    schedule.refresh_from_db()
    assert schedule.interval == interval


def test_a_schedule_is_disabled(client, login, schedule):
    login("superuser")

    save(client, schedule, enabled=None)

    schedule.refresh_from_db()
    assert not schedule.enabled


def test_an_interval_replaces_a_crontab(client, login, schedule):
    login("superuser")
    crontab = CrontabSchedule.objects.create(hour="3")
    Schedule.objects.filter(pk=schedule.pk).update(interval=None, crontab=crontab)

    save(client, schedule, minutes="5")

    schedule.refresh_from_db()
    assert (str(schedule.interval), schedule.crontab) == ("every 5 minutes", None)


@pytest.mark.parametrize("minutes", ["0", "61", "", "-5", "1.5", "0 5 * * *", "\u0661\u0660"])
def test_an_interval_beyond_an_hour_is_refused(client, login, schedule, minutes):
    login("superuser")

    answer = save(client, schedule, minutes=minutes)

    schedule.refresh_from_db()
    assert answer.status_code == 200
    assert "Enter a whole number 1\u201360" in answer.content.decode()
    assert schedule.interval.every == 5


def test_the_task_of_a_schedule_never_changes(client, login, schedule):
    login("superuser")

    save(client, schedule, task="os.system", name="mine", args='["ls"]')

    schedule.refresh_from_db()
    assert (schedule.name, schedule.task, schedule.args) == ("a tick", "award_due", "[]")
