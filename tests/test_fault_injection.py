"""The fault injector itself: a fault that never fires must not look like one that did no harm."""

from tests.fault_injection import NEVER_FIRED
from tests.processes import finish, start_with_fault


def test_a_fault_that_never_fires_fails_the_command(committed):
    code, _, err = finish(start_with_fault("--die-at", "SELECT nothing", "runs"))

    assert code == NEVER_FIRED
    assert "No statement contained 'SELECT nothing'." in err
