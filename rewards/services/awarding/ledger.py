"""Evaluate a range of hosts, and write the awards that are due to the ledger and the scores."""

from collections.abc import Mapping, Sequence

from django.db import connection

from rewards.choices import RULE_TYPE_SPECS
from rewards.engine.evaluators import award_evaluator
from rewards.engine.periods import Period
from rewards.engine.values import Award, AwardCounts, Rule
from rewards.selectors.activity import IdRange, users_by_facts
from rewards.selectors.ledger import users_by_awarded_type
from rewards.services import scores

_COPY = """
    COPY rewards_scorehistory
        (user_id, rule_type, reference_date, points, rule_id, measured, threshold, run_id)
    FROM STDIN
"""

AwardsByUser = Mapping[int, Sequence[Award]]
"""User id -> awards, in order of user id."""


class Job:
    """What all batches of a run have in common: the period, its rules, their cached evaluator."""

    def __init__(self, period: Period, rules: Sequence[Rule]) -> None:
        self.period = period
        self.rules = rules
        self.rule_types = [rule.rule_type for rule in rules]
        self.metrics = {RULE_TYPE_SPECS[rule_type].metric for rule_type in self.rule_types}
        self.awards_for = award_evaluator(rules)


def award_id_range(job: Job, *, run_id: int, id_range: IdRange) -> AwardCounts:
    """Evaluate the hosts of `id_range` and write what is due; four statements for any number.

    Call inside a transaction, so that ledger and scores are written both or not at all.
    """
    awards, counts = due_awards(job, id_range)
    if awards:
        write_awards(job, run_id=run_id, awards=awards)
    return counts


def write_awards(job: Job, *, run_id: int, awards: AwardsByUser) -> None:
    """Write awards to the ledger and the scores, in the caller's transaction. Two statements."""
    _write_ledger(job, run_id, awards)
    scores.add_awards(period=job.period, awards=awards)


def due_awards(job: Job, id_range: IdRange) -> tuple[AwardsByUser, AwardCounts]:
    """Return the awards that hosts of `id_range` have earned and not been paid, and their counts.

    Hosts with equal facts are evaluated once.
    """
    facts_map = users_by_facts(days=job.period.days, id_range=id_range, metrics=job.metrics)
    awarded_map = users_by_awarded_type(
        reference_date=job.period.reference_date, rule_types=job.rule_types, id_range=id_range
    )
    due: dict[int, list[Award]] = {}
    counts = AwardCounts()
    for facts, users in facts_map.items():
        counts.hosts_evaluated += len(users)
        for award in job.awards_for(facts):
            rule = award.rule
            paid = awarded_map.get(rule.rule_type, set())
            if paid.issuperset(users):
                continue
            unpaid = [user for user in users if user not in paid] if paid else users
            counts.add_awards(rule.rule_type.value, len(unpaid), len(unpaid) * rule.points)
            for user in unpaid:
                due.setdefault(user, []).append(award)
    counts.hosts_rewarded = len(set(due).difference(*awarded_map.values()))
    return {user: due[user] for user in sorted(due)}, counts


def _write_ledger(job: Job, run_id: int, awards: AwardsByUser) -> None:
    # Most awards differ in the user only, so the rest of a row is made once and cached.
    day = job.period.reference_date
    suffixes: dict[tuple[int, int], str] = {}
    rows = []
    for user, earned in awards.items():
        for rule, measured in earned:
            suffix = suffixes.get((rule.version, measured))
            if suffix is None:
                suffix = suffixes[rule.version, measured] = (
                    f"\t{rule.rule_type.value}\t{day}\t{rule.points}\t{rule.version}"
                    f"\t{measured}\t{rule.threshold}\t{run_id}\n"
                )
            rows.append(f"{user}{suffix}")
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(_COPY) as copy,
    ):
        copy.write("".join(rows))
