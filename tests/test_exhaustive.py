"""Maps keyed by an enumeration have all of its members, or say which they leave out."""

import importlib
import pkgutil
from collections.abc import Mapping
from enum import Enum

import pytest

import rewards
from rewards import choices
from rewards.admin import overview
from rewards.admin.hosts import explanation as host_explanation
from rewards.admin.runs import admin as run_admin
from rewards.admin.runs import journal as run_journal
from rewards.api import problems
from rewards.choices import Cadence, RuleType, RunStatus
from rewards.engine import evaluators
from rewards.engine.periods import DUE, NEEDS_OPERATOR, PeriodState
from rewards.engine.values import Facts
from rewards.management.commands import runs as runs_command
from rewards.models import DailyActivity
from rewards.reports.explain import notes
from rewards.reports.explain.outcome import Outcome
from rewards.reports.verify import activity as verify_activity
from rewards.reports.verify import rule_types as verify_rule_types
from rewards.selectors import metrics
from rewards.selectors import runs as run_selectors
from rewards.services import demo

NOT_DUE = {PeriodState.NO_ACTIVITY, PeriodState.RUNNING, PeriodState.DONE}

DAILY_TYPES = {
    rule_type
    for rule_type, spec in choices.RULE_TYPE_SPECS.items()
    if spec.cadence == Cadence.DAILY
}

MAPS = [
    # module, name, keys
    (choices, "RULE_TYPE_SPECS", set(RuleType)),
    (evaluators, "EVALUATORS", set(RuleType)),
    (overview, "RULE_COLOURS", set(RuleType)),
    (verify_rule_types, "DAILY_TYPES", DAILY_TYPES),
    (metrics, "METRIC_SQL", set(Cadence)),
    (run_selectors, "_LOCK_CLASS", set(Cadence)),
    (run_admin, "STATUS_COLOURS", set(RunStatus)),
    (host_explanation, "COLOURS", set(Outcome)),
    (runs_command, "ADVICE", NEEDS_OPERATOR),
    (run_journal, "STATE_COLOURS", set(PeriodState)),
]

METRIC_MAPS = [
    metrics.METRIC_SQL[Cadence.DAILY],
    metrics.METRIC_SQL[Cadence.WEEKLY],
    notes.KINDS_OF_METRIC,
]


@pytest.mark.parametrize(("module", "name", "keys"), MAPS)
def test_a_map_has_every_member(module, name, keys):
    assert set(getattr(module, name)) == keys


@pytest.mark.parametrize("metric_map", METRIC_MAPS)
def test_a_map_has_every_metric(metric_map):
    assert set(metric_map) == set(Facts._fields)


def test_every_spec_names_a_metric():
    assert {spec.metric for spec in choices.RULE_TYPE_SPECS.values()} <= set(Facts._fields)


def test_every_count_of_a_day_is_verified():
    counted = {field.name for field in DailyActivity._meta.fields} - {"id", "user", "date"}

    assert set(verify_activity._NOUNS) == counted


def test_a_period_is_due_or_needs_an_operator_or_neither():
    assert set(PeriodState) == DUE | NEEDS_OPERATOR | NOT_DUE
    assert len(DUE) + len(NEEDS_OPERATOR) + len(NOT_DUE) == len(PeriodState)


def test_no_other_map_is_keyed_by_an_enumeration():
    """A new one gets a row in MAPS, or is listed here with a reason."""
    listed = {(module.__name__, name) for module, name, _ in MAPS}
    listed |= {
        (demo.__name__, "RULES"),  # the demo shows some of the types
        (problems.__name__, "_SENTENCES"),  # other statuses have the words of the standard
    }
    found = set()
    for info in pkgutil.walk_packages(rewards.__path__, "rewards."):
        if ".migrations." in info.name:
            continue
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if _is_keyed_by_enumeration(value) and _is_defined_in(module, name):
                found.add((info.name, name))

    assert found == listed


def _is_keyed_by_enumeration(value):
    return isinstance(value, Mapping) and value and all(isinstance(key, Enum) for key in value)


def _is_defined_in(module, name):
    """Whether the module assigns the name itself, and does not import it."""
    with open(module.__file__) as source:
        return any(line.startswith((f"{name} ", f"{name}:")) for line in source)
