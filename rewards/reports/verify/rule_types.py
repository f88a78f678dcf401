"""The registry of rule types as SQL."""

from rewards.choices import RULE_TYPE_SPECS, Cadence, RuleType
from rewards.selectors.metrics import METRIC_SQL


def types_of(cadence: Cadence) -> list[RuleType]:
    return [rule_type for rule_type, spec in RULE_TYPE_SPECS.items() if spec.cadence == cadence]


def measured(cadence: Cadence) -> str:
    """Return SQL: the metric of the column rule_type, over the activity of a host and period."""
    whens = " ".join(
        f"WHEN '{rule_type}' THEN {METRIC_SQL[cadence][RULE_TYPE_SPECS[rule_type].metric]}"
        for rule_type in types_of(cadence)
    )
    return f"CASE rule_type {whens} END"


DAILY_TYPES = {
    rule_type: METRIC_SQL[Cadence.DAILY][RULE_TYPE_SPECS[rule_type].metric]
    for rule_type in types_of(Cadence.DAILY)
}
"""Daily rule type -> SQL of its metric, over the activity of a host and day."""

IS_WEEKLY = f"rule_type = ANY('{{{','.join(types_of(Cadence.WEEKLY))}}}')"
