"""A pytest plugin that counts the injected faults and prints them in a table at the end."""

from collections import Counter
from collections.abc import Callable
from typing import cast

import pytest

Recorder = Callable[..., None]

_PROPERTY = "fault"
_injected: Counter[tuple[str, str]] = Counter()
_survived: Counter[tuple[str, str]] = Counter()


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Recorder:
    """Return a function of (number of the fault, its name, times injected).

    Call it after the fault has fired and before its outcome is checked. The fault counts as
    survived if the test passes.
    """

    def record(number: str, name: str, times: int = 1) -> None:
        assert times > 0, f"{number} did not fire: {name}"
        request.node.user_properties.append((_PROPERTY, (number, name, times)))

    return record


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call":
        return
    for key, value in report.user_properties:
        if key == _PROPERTY:
            number, name, times = cast("tuple[str, str, int]", value)
            _injected[number, name] += times
            _survived[number, name] += times if report.passed else 0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _injected:
        return
    terminalreporter.section("faults")
    width = max(len(name) for _, name in _injected)
    terminalreporter.line(f"{'':4} {'fault':{width}} {'injected':>9} {'survived':>9}")
    for number, name in sorted(_injected, key=lambda key: (int(key[0][1:]), key[1])):
        counts = _injected[number, name], _survived[number, name]
        terminalreporter.line(f"{number:4} {name:{width}} {counts[0]:>9} {counts[1]:>9}")
    total = _injected.total(), _survived.total()
    terminalreporter.line(f"{'':4} {'all':{width}} {total[0]:>9} {total[1]:>9}")
