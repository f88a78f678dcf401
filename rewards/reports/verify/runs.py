"""The run journal against the ledger and the activity."""

from rewards.reports.verify.invariants import Invariant
from rewards.wording import count

_CHECKED_RUNS = "SELECT count(*) FROM rewards_awardrun"

INVARIANTS = [
    Invariant(
        "I12",
        "each period with activity between the first and the last done run has a done run",
        "SELECT count(*) FROM events_by_period",
        """SELECT cadence, reference_date FROM events_by_period
        JOIN (
            SELECT cadence, min(reference_date) AS first, max(reference_date) AS last
            FROM rewards_awardrun
            WHERE kind = 'award' AND status = 'done' GROUP BY 1
        ) AS done USING (cadence)
        WHERE reference_date BETWEEN first AND last AND NOT EXISTS (
            SELECT FROM rewards_awardrun AS run
            WHERE run.cadence = events_by_period.cadence
            AND run.reference_date = events_by_period.reference_date
            AND run.kind = 'award' AND run.status = 'done')""",
        "{reference_date} has activity and no {cadence} run that is done".format_map,
    ),
    Invariant(
        "I13",
        "runs and batches count exactly the awards that they wrote",
        _CHECKED_RUNS,
        """SELECT run.id AS run_id, run.awards, run.points,
            batches.awards AS batch_awards, batches.points AS batch_points,
            written.awards AS ledger_awards, written.points AS ledger_points
        FROM rewards_awardrun AS run
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(awards), 0) AS awards, coalesce(sum(points), 0) AS points
            FROM rewards_awardbatch WHERE run_id = run.id
        ) AS batches
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(sign(points) * entries), 0) AS awards,
                coalesce(sum(entries * points), 0) AS points
            FROM award_groups WHERE run_id = run.id
        ) AS written
        WHERE (run.kind <> 'live'
            AND (batches.awards, batches.points) <> (written.awards, written.points))
        OR (run.finished_at IS NOT NULL
            AND (run.awards, run.points) <> (written.awards, written.points))""",
        lambda row: (
            f"run {row['run_id']}: {count(row['awards'], 'award')} and "
            f"{count(row['points'], 'point')} in the journal, {row['batch_awards']:,} and "
            f"{row['batch_points']:,} in its batches, {row['ledger_awards']:,} and "
            f"{row['ledger_points']:,} in the ledger"
        ),
    ),
    Invariant(
        "I14",
        "runs end after they start, and weekly runs are of a Monday",
        _CHECKED_RUNS,
        """SELECT id AS run_id, cadence, reference_date, status, started_at, finished_at
        FROM rewards_awardrun
        WHERE finished_at < started_at
        OR (status IN ('running', 'live', 'held')) <> (finished_at IS NULL)
        OR (cadence = 'weekly' AND extract(isodow FROM reference_date) <> 1)""",
        "run {run_id}, {cadence} of {reference_date}: {status}, started at {started_at}, finished "
        "at {finished_at}".format_map,
    ),
]
