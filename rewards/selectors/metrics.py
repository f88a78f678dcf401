"""The metrics of Facts as SQL over the rows of rewards_dailyactivity."""

from collections.abc import Mapping

from rewards.choices import Cadence

METRIC_SQL: Mapping[Cadence, Mapping[str, str]] = {
    # A host has one row a day.
    Cadence.DAILY: {
        "logins": "logins",
        "audio_calls": "audio_calls",
        "video_calls": "video_calls",
        "active_days": "1",
    },
    # Over the rows of a host and a week.
    Cadence.WEEKLY: {
        "logins": "sum(logins)",
        "audio_calls": "sum(audio_calls)",
        "video_calls": "sum(video_calls)",
        "active_days": "count(*)",
    },
}
