"""Response times of the admin's pages at 1% and at 100% of the hosts, ten awards per host."""

import time
from datetime import timedelta
from statistics import median
from typing import Any
from urllib.parse import urlencode

from benchmarks import dataset
from benchmarks.server import Server
from benchmarks.variants import run_worker

DAYS = 7
SHARE = 0.6
"""Share of the hosts active each day; gives ten awards per host, weekly awards included."""

CUSTOM_RANGE = "leaderboard of five days"
"""The only page that sums the ledger, so its time grows with it; it has a time limit."""

# The explanation page reads the events of one day.
_EVENTS = """
    INSERT INTO rewards_activityevent
        (source, event_id, user_id, kind, occurred_at, duration_seconds, business_date)
    SELECT 'app', 'login-' || user_id, user_id, 'login', date + time '12:00', 0, date
    FROM rewards_dailyactivity WHERE date = %(day)s ORDER BY user_id
"""


def measure(server: Server, *, hosts: int, rounds: int) -> dict[str, Any]:
    """Return the milliseconds of each page at both sizes, and the ratio of the two."""
    days = [dataset.MONDAY + timedelta(days=number) for number in range(DAYS)]
    sizes = {"small": max(5, hosts // 100), "large": hosts}
    ledger: dict[str, int] = {}
    pages: dict[str, dict[str, float]] = {}
    for size, number in sizes.items():
        dataset.build(server, size, hosts=number, days=dict.fromkeys(days, SHARE))
        run_worker(server, size, "command", "award_due")
        with server.connect(size) as connection:
            connection.execute(_EVENTS, {"day": days[-1]})
            counted = connection.execute("SELECT count(*) FROM rewards_scorehistory").fetchone()
            ledger[size] = counted[0] if counted else 0
        dataset.vacuum(server, size)
        server.warm(size)
        report = run_worker(server, size, "open_pages", str(rounds)).report
        for page, milliseconds in report.items():
            pages.setdefault(page, {})[size] = milliseconds
    for times in pages.values():
        times["ratio"] = round(times["large"] / times["small"], 2)
    slowest = max(times["ratio"] for page, times in pages.items() if page != CUSTOM_RANGE)
    return {"hosts": sizes, "ledger": ledger, "pages": pages, "slowest": slowest}


def open_pages(rounds: str) -> dict[str, float]:
    """Open each page `5 * rounds` times after one warm-up; return the medians in milliseconds."""
    from django.conf import settings
    from django.test import Client

    from rewards.models import User

    # The manifest storage needs collectstatic, which has not been run here.
    settings.STORAGES["staticfiles"]["BACKEND"] = (
        "django.contrib.staticfiles.storage.StaticFilesStorage"
    )
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.create_superuser("admin"))
    medians = {}
    for page, url in _urls().items():
        times = []
        for _ in range(int(rounds) * 5 + 1):
            began = time.perf_counter()
            response = client.get(url, secure=True, follow=True)
            times.append(1000 * (time.perf_counter() - began))
            if response.status_code != 200:
                raise RuntimeError(f"{url} answered {response.status_code}.")
        medians[page] = round(median(times[1:]), 1)
    return medians


def _urls() -> dict[str, str]:
    """Return the URL of every page that lists or searches a growing table."""
    from django.urls import reverse

    from rewards.models import AwardRun, RewardRule, ScoreHistory

    award = ScoreHistory.objects.select_related("user").order_by("-pk")[0]
    host = award.user

    def page(name: str, *arguments: Any, **query: Any) -> str:
        return f"{reverse(f'admin:{name}', args=arguments)}?{urlencode(query)}"

    five_days = {"first": dataset.MONDAY, "last": dataset.MONDAY + timedelta(days=4)}
    rows = "rewards_scorehistory_changelist"
    return {
        "overview": page("index"),
        "rules": page("rewards_rewardrule_changelist"),
        "rule": page("rewards_rewardrule_change", RewardRule.objects.all()[0].pk),
        "hosts": page("rewards_host_changelist"),
        "hosts, searched": page("rewards_host_changelist", q=host.external_id),
        "host": page("rewards_host_change", host.pk),
        "explanation": page("rewards_host_explain", host.pk, day=dataset.DAY),
        "awards": page(rows),
        "awards, the last page": page(rows, p=min(200, ScoreHistory.objects.count() // 50)),
        "awards of a rule": page(rows, rule_type__exact="DAILY_VIDEO_CALL_TARGET"),
        "awards of a host": page(rows, q=host.external_id),
        "award": page("rewards_scorehistory_change", award.pk),
        "leaderboard": page("rewards_score_leaderboard"),
        CUSTOM_RANGE: page("rewards_score_leaderboard", **five_days),
        "scores": page("rewards_score_changelist"),
        "journal of runs": page("rewards_awardrun_journal"),
        "runs": page("rewards_awardrun_changelist"),
        "run": page("rewards_awardrun_change", AwardRun.objects.all()[0].pk),
        "daily activity": page("rewards_dailyactivity_changelist"),
        "daily activity of a host": page("rewards_dailyactivity_changelist", q=host.external_id),
        "events": page("rewards_activityevent_changelist"),
        "events of a host": page("rewards_activityevent_changelist", q=host.external_id),
    }
