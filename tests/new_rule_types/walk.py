"""Use two new rule types everywhere; run by test_new_rule_types.py in a copy of the project.

Prints one JSON object with what was found.
"""

import json
import traceback
from datetime import UTC, date, datetime, timedelta
from io import StringIO

from django.contrib import admin
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from rewards.choices import ActivityKind, RuleType
from rewards.models import (
    ActivityEvent,
    AwardRun,
    DailyActivity,
    Host,
    RewardRule,
    ScoreHistory,
    User,
)
from rewards.services.api_clients import create_client, create_key

MONDAY = date(2025, 6, 2)
NOW = datetime(2025, 6, 9, 12, tzinfo=UTC)
DAILY, WEEKLY = "DAILY_SECOND_LOGIN", "WEEKLY_VIDEO_CALLS"


def run(*words):
    """Return the exit code and the output of a command."""
    out = StringIO()
    try:
        call_command(*words, stdout=out)
    except CommandError as error:
        return error.returncode, out.getvalue()
    return 0, out.getvalue()


def report(*words):
    """Return the JSON output of a command."""
    return json.loads(run(*words, "--format=json")[1])


def create_activity():
    """Ada has two logins and two video calls a day; Bo one login on Monday and one call."""
    for name, days, logins, calls in (("ada", 7, 2, 2), ("bo", 1, 1, 1)):
        host = Host.objects.create(external_id=name, username=f"host:{name}", is_host=True)
        for offset in range(days):
            day = MONDAY + timedelta(days=offset)
            noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
            kinds = [ActivityKind.LOGIN] * logins + [ActivityKind.VIDEO_CALL] * calls
            ActivityEvent.objects.bulk_create(
                ActivityEvent(
                    source="app",
                    event_id=f"{name}-{day}-{number}",
                    user=host,
                    kind=kind,
                    occurred_at=noon,
                    received_at=noon,
                    duration_seconds=60 if kind == ActivityKind.VIDEO_CALL else 0,
                    business_date=day,
                )
                for number, kind in enumerate(kinds)
            )
            DailyActivity.objects.create(
                user=host, date=day, logins=logins, video_calls=calls, video_seconds=60 * calls
            )


def create_rules():
    rules = [(rule_type, 1, 10) for rule_type in RuleType if rule_type not in {DAILY, WEEKLY}]
    for rule_type, threshold, points in [*rules, (DAILY, 2, 7), (WEEKLY, 14, 70)]:
        RewardRule.objects.create(
            rule_type=rule_type, threshold=threshold, points=points, starts_on=date(2025, 1, 1)
        )


def verify():
    """Return the violations by invariant."""
    findings = report("verify_ledger")["invariants"]
    return {f["name"]: sorted(f["examples"]) for f in findings if f["violations"]}


def damage(*statements):
    """Return the violations after `statements`, which are rolled back."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            for statement in statements:
                cursor.execute(statement)
            cursor.execute("SET LOCAL session_replication_role = origin")
        violations = verify()
        transaction.set_rollback(True)
    return violations


def phantom(rule_type, reference_date):
    return f"""
        INSERT INTO rewards_scorehistory
            (user_id, rule_type, reference_date, points, rule_id, measured, threshold, run_id)
        SELECT (SELECT id FROM rewards_user WHERE external_id = 'bo'),
            rule_type, reference_date, points, rule_id, measured, threshold, run_id
        FROM rewards_scorehistory
        WHERE rule_type = '{rule_type}' AND reference_date = '{reference_date}'
    """


def missed(rule_type, reference_date):
    return (
        "DELETE FROM rewards_scorehistory"
        f" WHERE rule_type = '{rule_type}' AND reference_date = '{reference_date}'"
    )


def addresses():
    """Yield the address of every page of the admin that answers a GET."""
    shown = {
        RewardRule: RewardRule.objects.get(rule_type=DAILY),
        ScoreHistory: ScoreHistory.objects.filter(rule_type=WEEKLY).first(),
        AwardRun: AwardRun.objects.filter(cadence="weekly").first(),
        User: User.objects.filter(is_staff=True).first(),
    }
    for model, model_admin in admin.site._registry.items():
        shown.setdefault(model, model.objects.first())
        for pattern in model_admin.urls:
            values = {"day": str(MONDAY), "file_format": "csv"}
            pk = getattr(shown[model], "pk", None)
            arguments = {name: values.get(name, pk) for name in pattern.pattern.converters}
            if pattern.name and None not in arguments.values():
                yield reverse(f"admin:{pattern.name}", kwargs=arguments)
    for name in ("index", "password_change"):
        yield reverse(f"admin:{name}")
    ledger = reverse("admin:rewards_scorehistory_changelist")
    add_rule = reverse("admin:rewards_rewardrule_add")
    for rule_type in (DAILY, WEEKLY):
        yield f"{ledger}?rule_type__exact={rule_type}"
        yield f"{add_rule}?rule_type={rule_type}"


def pages():
    """Return the status of each page, or the last line of its traceback."""
    User.objects.create_superuser("root", "root@example.com", "a password")
    client = Client(HTTP_HOST="localhost")
    client.force_login(User.objects.get(username="root"))
    found = {}
    for address in addresses():
        try:
            response = client.get(address, follow=True)
            found[address] = response.status_code
            if getattr(response, "streaming", False):
                b"".join(response.streaming_content)
        except Exception:
            found[address] = traceback.format_exc().splitlines()[-1]
    return found


def answers():
    """Return what the API says of the two rule types at each address."""
    created = create_client(name="walk", source="walk", scopes=["scores:read"])
    key = create_key(client=created, now=NOW, today=NOW.date())
    client = Client(HTTP_HOST="localhost", headers={"authorization": f"Bearer {key.text}"})
    daily = AwardRun.objects.get(cadence="daily", reference_date=MONDAY)

    def get(address):
        return client.get(f"/api/v1/{address}").json()

    timezone.now = lambda: NOW - timedelta(days=1)  # the Sunday of the week
    today = get("hosts/ada")["rules"]
    timezone.now = lambda: NOW
    rows = {
        "host": today,
        "awards": get("hosts/ada/awards?limit=500")["awards"],
        "explanation": get(f"hosts/ada/explanation?date={MONDAY}")["rules"],
        "run": get(f"runs/{daily.pk}/awards")["awards"],
    }
    return {
        name: [
            [row["rule_type"], row["reference_date"], row["measured"]]
            for row in found
            if row["rule_type"] in {DAILY, WEEKLY}
        ]
        for name, found in rows.items()
    } | {"by_rule": get(f"runs/{daily.pk}")["by_rule"].get(DAILY)}


def preview(rule_type, threshold):
    """Return (awards now, awards then, hosts that gain, hosts that lose)."""
    found = report("preview_rule", rule_type, f"--threshold={threshold}", "--points=1")
    total = found["total"]
    gaining, losing = (found[key]["most_often"] for key in ("gaining", "losing"))
    return [total["awards_now"], total["awards_then"], gaining, losing]


def main():
    timezone.now = lambda: NOW
    call_command("makemigrations", "rewards", verbosity=0)
    call_command("migrate", verbosity=0)
    run("check")
    create_activity()
    create_rules()
    award_code, _ = run("award_due")
    explained = report("explain", "ada", str(MONDAY))["rules"]
    print(  # noqa: T201 - the output of this program
        json.dumps(
            {
                "award_due": award_code,
                "ledger": sorted(
                    [row.rule_type, str(row.reference_date), row.user.external_id, row.measured]
                    for row in ScoreHistory.objects.filter(rule_type__in=[DAILY, WEEKLY])
                ),
                "explain": {
                    rule["rule_type"]: rule["sentence"]
                    for rule in explained
                    if rule["rule_type"] in {DAILY, WEEKLY}
                },
                "previews": [preview(DAILY, 1), preview(WEEKLY, 15)],
                "exported": sum(
                    line.split(",")[1] in {DAILY, WEEKLY}
                    for line in run("export_history")[1].splitlines()
                ),
                "verify": verify(),
                "phantom": damage(phantom(DAILY, MONDAY), phantom(WEEKLY, MONDAY)).get("I11"),
                "missed": damage(missed(DAILY, MONDAY), missed(WEEKLY, MONDAY)).get("I11"),
                "pages": pages(),
                "api": answers(),
            }
        )
    )
