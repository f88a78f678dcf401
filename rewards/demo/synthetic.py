"""Synthetic activity of any size, shaped like real activity, and always the same for a seed.

A third of the hosts are never active. The others are active on more days and take more calls the
busier they are, and a few take very many. Evenings and weekends are busiest. The traits of a host
are computed from its number, so that a million hosts need no memory.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from rewards.choices import ActivityKind

_HEADER = "event_id,user_id,kind,occurred_at,duration_seconds\n"

_SPREAD = 0.6180339887498949
"""The fractional parts of its multiples are spread evenly over 0..1 (golden ratio)."""

_IDLE = 0.35
_WEEKDAYS = (0.80, 0.78, 0.80, 0.84, 0.95, 1.00, 0.92)
"""The chance of being active, Monday to Sunday, relative to a Saturday."""

_BUSIEST_HOUR = 20 * 3600
_MAX_CALLS = 200
_MEAN_CALL_SECONDS = 240
_MAX_CALL_SECONDS = 7_200


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthetic:
    """The activity of `hosts` hosts on `days` UTC days, in one file per day."""

    hosts: int
    days: int
    seed: int = 1

    @property
    def source(self) -> str:
        """The source of its events, and of no others."""
        return f"demo-{self.hosts}x{self.days}"

    @property
    def first_event(self) -> str:
        """The id of the first event of the first day."""
        return _event_id(0, 1, 0)

    def files(self, *, ends_on: date) -> Sequence[Iterable[str]]:
        """Return the lines of each file, header first; the last day is `ends_on`."""
        return [
            self._lines(number, ends_on - timedelta(days=self.days - 1 - number))
            for number in range(self.days)
        ]

    def _lines(self, number: int, day: date) -> Iterator[str]:
        yield _HEADER
        yield from synthetic_rows(hosts=self.hosts, day=day, number=number, seed=self.seed)


def synthetic_rows(*, hosts: int, day: date, number: int = 0, seed: int = 1) -> Iterator[str]:
    """Yield the activity of `hosts` hosts on one UTC day as lines of CSV, in order of host.

    `number` is that of the day: days differ in event ids and random numbers, not in the traits of
    hosts. Host 1 is active every day.
    """
    rng = random.Random(f"{seed}:{number}")  # noqa: S311 - not a secret
    chance, exponential, triangular = rng.random, rng.expovariate, rng.triangular
    weekday = _WEEKDAYS[day.weekday()]
    login, audio, video = (
        ActivityKind.LOGIN.value,
        ActivityKind.AUDIO_CALL.value,
        ActivityKind.VIDEO_CALL.value,
    )

    for host in range(1, hosts + 1):
        busy = ((host - 1 + seed) * _SPREAD % 1.0 - _IDLE) / (1 - _IDLE)
        if host > 1 and (busy < 0 or chance() > weekday * (0.15 + 0.85 * busy)):
            continue
        busy = max(busy, 0.0)

        kinds = [login] if host == 1 or chance() < 0.95 else []
        if chance() < 0.3:
            kinds.append(login)
        # From less than 1 to about 90 on average.
        calls = min(int(exponential(1.6 * (1.004 - busy) ** 0.9)), _MAX_CALLS)
        likes_video = host * host * _SPREAD % 1.0
        kinds += [video if chance() < likes_video else audio for _ in range(calls)]

        for index, kind in enumerate(kinds):
            second = int(triangular(0, 86_400, _BUSIEST_HOUR)) % 86_400
            minutes, seconds = divmod(second, 60)
            duration = 0
            if kind != login:
                duration = min(int(exponential(1 / _MEAN_CALL_SECONDS)), _MAX_CALL_SECONDS)
            yield (
                f"{_event_id(number, host, index)},host-{host},{kind},"
                f"{day}T{minutes // 60:02}:{minutes % 60:02}:{seconds:02}Z,{duration}\n"
            )


def _event_id(number: int, host: int, index: int) -> str:
    return f"{number}-{host}-{index}"
