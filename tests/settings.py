"""Settings of a test run: a temporary PostgreSQL, unless DATABASE_URL or LOCALDB_DIR name one."""

import os
from contextlib import ExitStack

from localservers.postgresql.database import LocalDatabase
from localservers.temporary import temporary_servers

resources = ExitStack()
"""Released at the end of the test run, by pytest_unconfigure."""

if not os.environ.get("DATABASE_URL") and not os.environ.get("LOCALDB_DIR"):
    # Workers of xdist inherit the address. None of them can start the server again, after this
    # process has been killed and its server has ended.
    folder = resources.enter_context(temporary_servers(prefix="rewards-tests-"))
    database = LocalDatabase(folder / "database", name="rewards", durable=False)
    os.environ |= {"DATABASE_URL": database.url(), "LOCALDB_DIR": str(folder)}
os.environ.setdefault("DEBUG", "true")

from rewards_site.settings import *  # noqa: E402, F403 - reads the environment set above

# The default hashers are slow on purpose.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
