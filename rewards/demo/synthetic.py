"""Made-up activity of any size, the same for the same numbers, and shaped like the real thing.

A third of the hosts never show up. The others come more often and take more calls the busier
they are, a few of them very many; all come more towards the weekend and in the evening. A host's
traits are computed from its number, so that a million hosts take no memory.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from rewards.choices import ActivityKind

HEADER = "event_id,user_id,kind,occurred_at,duration_seconds\n"

_SPREAD = 0.6180339887498949
"""Multiples of the golden ratio, without their whole part, lie evenly in 0..1."""

_IDLE = 0.35
_WEEKDAYS = (0.80, 0.78, 0.80, 0.84, 0.95, 1.00, 0.92)
"""How likely a host is to come, Monday to Sunday, compared with a Saturday."""

_BUSIEST_HOUR = 20 * 3600
_MAX_CALLS = 200
_MEAN_CALL_SECONDS = 240
_MAX_CALL_SECONDS = 7_200


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthetic:
    """The activity of `hosts` hosts on `days` UTC days, as one file a day."""

    hosts: int
    days: int
    seed: int = 1

    @property
    def source(self) -> str:
        return f"demo-{self.hosts}x{self.days}"

    @property
    def first_event(self) -> str:
        return _event_id(0, 1, 0)

    def parts(self, *, ends_on: date) -> Sequence[Iterable[str]]:
        """Return the lines of each day, header first, of which the last is `ends_on`."""
        first_day = ends_on - timedelta(days=self.days - 1)
        return [
            self._lines(number, first_day + timedelta(days=number)) for number in range(self.days)
        ]

    def _lines(self, number: int, day: date) -> Iterator[str]:
        yield HEADER
        yield from synthetic_rows(hosts=self.hosts, day=day, number=number, seed=self.seed)


def synthetic_rows(*, hosts: int, day: date, number: int = 0, seed: int = 1) -> Iterator[str]:
    """Yield what `hosts` hosts do on one UTC day, in order of host, as lines of CSV.

    `number` counts the days: it makes the event ids differ, and the chances, while the hosts stay
    who they are. Host 1 always comes.
    """
    rng = random.Random(f"{seed}:{number}")  # noqa: S311 - made-up activity is no secret
    chance, exponential, when = rng.random, rng.expovariate, rng.triangular
    turnout = _WEEKDAYS[day.weekday()]
    login, audio, video = (
        ActivityKind.LOGIN.value,
        ActivityKind.AUDIO_CALL.value,
        ActivityKind.VIDEO_CALL.value,
    )

    for host in range(1, hosts + 1):
        busy = ((host - 1 + seed) * _SPREAD % 1.0 - _IDLE) / (1 - _IDLE)
        if host > 1 and (busy < 0 or chance() > turnout * (0.15 + 0.85 * busy)):
            continue
        busy = max(busy, 0.0)

        did = [login] if host == 1 or chance() < 0.95 else []
        if chance() < 0.3:
            did.append(login)
        # On average from less than one to about ninety.
        calls = min(int(exponential(1.6 * (1.004 - busy) ** 0.9)), _MAX_CALLS)
        likes_video = host * host * _SPREAD % 1.0
        did += [video if chance() < likes_video else audio for _ in range(calls)]

        for place, kind in enumerate(did):
            second = int(when(0, 86_400, _BUSIEST_HOUR)) % 86_400
            minutes, seconds = divmod(second, 60)
            duration = (
                0
                if kind == login
                else min(int(exponential(1 / _MEAN_CALL_SECONDS)), _MAX_CALL_SECONDS)
            )
            yield (
                f"{_event_id(number, host, place)},host-{host},{kind},"
                f"{day}T{minutes // 60:02}:{minutes % 60:02}:{seconds:02}Z,{duration}\n"
            )


def _event_id(number: int, host: int, place: int) -> str:
    return f"{number}-{host}-{place}"
