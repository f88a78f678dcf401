"""Keys and limits hold for all processes of the API at once."""

import json
import math
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from localservers.broker import LocalBroker
from tests.faults.api import create_key, event, serving
from tests.faults.conftest import migrated

WORKERS = 4
REQUESTS = 200
LIMIT = 10


def statuses(api, number):
    """Send requests from eight threads; return how many answers had each status."""
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda _: api.post([event("e1", "ana")]), range(number))
        return Counter(answer.status for answer in answers)


def test_every_worker_refuses_a_key_once_it_is_revoked(server):
    database = migrated(server)
    key = create_key(database)

    with serving(database, key, workers=WORKERS) as api:
        before = statuses(api, 40)
        revoked = database.manage("api_key", "revoke", key)
        after = statuses(api, 40)

    assert before == {200: 40}
    assert revoked.code == 0, revoked
    assert after == {401: 40}


def test_the_workers_count_the_requests_of_a_client_together(server, tmp_path):
    database = migrated(server)
    created = database.manage(
        "api_key", "create", "app", "--client", "App", "--creates-hosts",
        "--scope", "events:write", "--requests-per-second", str(LIMIT), "--format", "json",
    )  # fmt: skip
    assert created.code == 0, created
    key = json.loads(created.out)["key"]
    broker = LocalBroker(tmp_path)

    with ExitStack() as stack:
        broker_runs = stack.enter_context(ExitStack())
        broker_runs.enter_context(broker.running())
        api = stack.enter_context(
            serving(database, key, workers=WORKERS, CELERY_BROKER_URL=broker.url)
        )
        started = time.monotonic()
        counted = statuses(api, REQUESTS)
        windows = math.ceil(time.monotonic() - started) + 1
        broker_runs.close()
        alone = statuses(api, REQUESTS)

    assert set(counted) == {200, 429}
    assert LIMIT <= counted[200] <= LIMIT * windows
    assert alone == {200: REQUESTS}  # it fails open
