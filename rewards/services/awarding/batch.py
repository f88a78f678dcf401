"""One batch of hosts: what they earned, written to the ledger and to the scores."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from django.db import connection

from rewards.choices import RULE_TERMS
from rewards.rules import Award, Facts, Rule, award_judge
from rewards.selectors.activity import Span, hosts_by_facts
from rewards.selectors.ledger import hosts_by_awarded_type
from rewards.services import scores
from rewards.services.runs import Tally

_COPY = """
    COPY rewards_scorehistory
        (user_id, rule_type, reference_date, points, rule_id, measured, threshold, run_id)
    FROM STDIN
"""

Judge = Callable[[Facts], tuple[Award, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every batch of a run shares."""

    days: Sequence[date]
    """The business day judged, or the seven of the week judged."""
    rules: Sequence[Rule]
    judge: Judge

    @classmethod
    def of(cls, *, days: Sequence[date], rules: Sequence[Rule]) -> "Job":
        """Return the job of judging `days` by `rules`."""
        return cls(days=days, rules=rules, judge=award_judge(rules))

    @property
    def reference_date(self) -> date:
        return self.days[0]


def award_span(job: Job, *, run: int, span: Span) -> Tally:
    """Judge the hosts of `span` and write what is due; four statements whatever their number.

    Call inside a transaction: ledger and scores are written both or not at all. `run` is the
    primary key of the run that the awards are of.
    """
    awards, tally = judge_span(job, span)
    if awards:
        _write_ledger(job, run, awards)
        scores.add_awards(
            reference_date=job.reference_date,
            points_by_user={
                user: sum([award.rule.points for award in earned])
                for user, earned in awards.items()
            },
        )
    return tally


def judge_span(job: Job, span: Span) -> tuple[dict[int, list[Award]], Tally]:
    """Return host -> awards due and not yet in the ledger, and what they come to.

    In order of host. Hosts who did the same are judged once.
    """
    facts = hosts_by_facts(
        days=job.days,
        span=span,
        measures={RULE_TERMS[rule.rule_type].measure for rule in job.rules},
    )
    awarded = hosts_by_awarded_type(
        reference_date=job.reference_date,
        rule_types=[rule.rule_type for rule in job.rules],
        span=span,
    )
    due: dict[int, list[Award]] = {}
    nobody: frozenset[int] = frozenset()
    tally = Tally()
    for did, hosts in facts.items():
        tally.hosts += len(hosts)
        for award in job.judge(did):
            rule = award.rule
            paid = awarded.get(rule.rule_type, nobody)
            if paid.issuperset(hosts):
                continue
            unpaid = [host for host in hosts if host not in paid] if paid else hosts
            tally.add_awards(rule.rule_type.value, len(unpaid), len(unpaid) * rule.points)
            for host in unpaid:
                due.setdefault(host, []).append(award)
    tally.rewarded = len(set(due).difference(*awarded.values()))
    return {host: due[host] for host in sorted(due)}, tally


def _write_ledger(job: Job, run: int, awards: Mapping[int, Sequence[Award]]) -> None:
    """Append the awards to the ledger, in order of host, with one COPY."""

    @functools.cache
    def but_the_host(version: int, measured: int) -> str:
        """Return a row after its first column; most hosts share it with many others."""
        rule = rules[version]
        cells = (rule.rule_type.value, job.reference_date, rule.points, version, measured)
        return "\t".join(map(str, (*cells, rule.threshold, run)))

    rules = {rule.version: rule for rule in job.rules}
    rows = [
        f"{user}\t{but_the_host(award.rule.version, award.measured)}\n"
        for user, earned in awards.items()
        for award in earned
    ]
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(_COPY) as copy,
    ):
        copy.write("".join(rows))
