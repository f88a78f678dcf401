"""The site's settings for a test run: a throwaway PostgreSQL unless DATABASE_URL names one."""

import os
import tempfile
from pathlib import Path

if not os.environ.get("DATABASE_URL") and not os.environ.get("LOCALDB_DIR"):
    folder = Path(tempfile.mkdtemp(prefix="rewards-tests-"))
    # The server may run as another user, who has to reach its data.
    folder.chmod(0o755)
    os.environ["LOCALDB_DIR"] = str(folder)
    os.environ["LOCALDB_DURABLE"] = "false"
os.environ.setdefault("DEBUG", "true")

from rewards_site.settings import *  # noqa: F403 - tests differ in what follows only

# The safe hashers are slow on purpose.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
