import pytest
from django.urls import reverse
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks


@pytest.fixture
def tick(db):
    # The one of the migration, unless a transactional test has flushed it away.
    interval, _ = IntervalSchedule.objects.get_or_create(every=5, period=IntervalSchedule.MINUTES)
    return PeriodicTask.objects.create(name="a tick", task="award_due", interval=interval)


def change(client, tick, **data):
    return client.post(
        reverse("admin:django_celery_beat_periodictask_change", args=[tick.pk]), data
    )


def test_how_often_beat_rings_is_chosen_in_minutes(client, login, tick):
    login("superuser")
    before = PeriodicTasks.last_change()

    answer = change(client, tick, enabled="on", minutes="10")

    tick.refresh_from_db()
    assert answer.status_code == 302
    assert (str(tick.interval), tick.enabled) == ("every 10 minutes", True)
    assert PeriodicTasks.last_change() > before  # so that beat notices


def test_beat_can_be_told_not_to_ring(client, login, tick):
    login("superuser")

    change(client, tick, minutes="5")

    tick.refresh_from_db()
    assert not tick.enabled


@pytest.mark.parametrize("minutes", ["0", "61", "", "-5", "1.5", "0 5 * * *", "\u0661\u0660"])
def test_a_time_that_never_or_hardly_ever_comes_is_refused(client, login, tick, minutes):
    login("superuser")

    answer = change(client, tick, enabled="on", minutes=minutes)

    tick.refresh_from_db()
    assert answer.status_code == 200
    assert "Enter a whole number 1\u201360" in answer.content.decode()
    assert tick.interval.every == 5


def test_what_is_rung_cannot_be_chosen(client, login, tick):
    login("superuser")

    change(client, tick, enabled="on", minutes="5", task="os.system", name="mine", args='["ls"]')

    tick.refresh_from_db()
    assert (tick.name, tick.task, tick.args) == ("a tick", "award_due", "[]")
