"""A hundred thousand hosts: one command, in memory that does not grow with them."""

from django.db import connection

from rewards.choices import RuleType
from rewards.models import AwardRun, Score, ScoreHistory
from tests.factories import RewardRuleFactory
from tests.processes import measured
from tests.test_wrong_turns import LONG_AGO

HOSTS = 100_000

MANY_HOSTS = """
    INSERT INTO rewards_user (
        external_id, username, password, is_host, is_active, is_staff, is_superuser,
        first_name, last_name, email, date_joined
    )
    SELECT 'host-' || n, 'host:host-' || n, '!', true, true, false, false, '', '', '', now()
    FROM generate_series(1, %(hosts)s) n;
    INSERT INTO rewards_dailyactivity
        (user_id, date, logins, audio_calls, video_calls, audio_seconds, video_seconds)
    SELECT id, %(day)s, 1 + id %% 3, id %% 8, id %% 5, 60 * (id %% 8), 60 * (id %% 5)
    FROM rewards_user
"""


def test_a_hundred_thousand_hosts_are_awarded_in_one_command_and_little_memory(committed):
    for rule_type, threshold, points in [
        (RuleType.DAILY_LOGIN, 1, 10),
        (RuleType.DAILY_AUDIO_CALL_TARGET, 4, 25),
        (RuleType.DAILY_VIDEO_CALL_TARGET, 1, 35),
    ]:
        RewardRuleFactory(
            rule_type=rule_type, threshold=threshold, points=points, starts_on=LONG_AGO
        )
    with connection.cursor() as cursor:
        cursor.execute(MANY_HOSTS, {"hosts": HOSTS, "day": LONG_AGO})

    code, output, peak = measured("award_daily", "--date", str(LONG_AGO))

    run = AwardRun.objects.get()
    awards = HOSTS + HOSTS // 2 + HOSTS * 4 // 5
    assert code == 0, output
    assert (run.hosts_evaluated, run.awards) == (HOSTS, awards)
    assert (ScoreHistory.objects.count(), Score.objects.count()) == (awards, HOSTS)
    assert peak < 150, f"{peak:.0f} MB"
