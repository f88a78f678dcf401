"""Run the tests of one mutant: `python -m tests.mutation_testing.mutant`, called by Cosmic Ray.

The current folder is a copy of the project in which one module is mutated.
"""

import os
import shutil
import sys
from pathlib import Path

import psycopg
import pytest

PACKAGES = ("rewards/engine", "rewards/reports", "rewards/selectors", "rewards/services")

# The tests of a module are tests/PACKAGE/test_MODULE.py, or else those of its package, but for:
TESTS = {
    "rewards/reports/export.py": ["tests/commands/test_export_history.py"],
    "rewards/reports/verify": ["tests/reports/test_verify.py", "tests/reports/test_violations.py"],
    "rewards/services/activity": [
        f"tests/services/activity/test_{name}.py" for name in ("rows", "reading", "import", "races")
    ],
    "rewards/services/demo.py": ["tests/commands/test_demo.py"],
}

OPTIONS = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
WITH_DATABASE = [*OPTIONS, "-n0", "--reuse-db", "-p", "no:randomly"]
WITHOUT_DJANGO = [*OPTIONS, "-c", os.devnull, "--rootdir=.", "--noconftest"]

ORIGINAL = "original"
"""A folder with the modules as they were."""


def modules() -> list[str]:
    """Return the modules of the current folder that mutants are made of."""
    return [str(path) for package in PACKAGES for path in Path(package).rglob("*.py")]


def own_tests(module: str) -> list[str]:
    """Return the test files of a module, which is a path such as "rewards/engine/values.py"."""
    path = Path(module)
    for listed in (path, path.parent):
        if tests := TESTS.get(str(listed)):
            return tests
    package = "tests" / path.parent.relative_to("rewards")
    for found in (package / f"test_{path.name}", package.parent / f"test_{path.parent.name}.py"):
        if found.exists():
            return [str(found)]
    return [str(package)]


def run_tests(module: str) -> int:
    """Run the tests of a module, up to the first failure; return the exit code of pytest."""
    if module.startswith("rewards/engine/"):
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        return pytest.main([*WITHOUT_DJANGO, *own_tests(module)])
    is_clean = Path("database_is_clean")  # unless tests were stopped that took too long
    if not is_clean.exists():
        server, _, _ = os.environ["DATABASE_URL"].rpartition("/")
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS test_rewards WITH (FORCE)")
            connection.execute("CREATE DATABASE test_rewards TEMPLATE rewards_template")
    is_clean.unlink(missing_ok=True)
    code = pytest.main([*WITH_DATABASE, *own_tests(module)])
    is_clean.touch()
    return code


def keep_originals() -> None:
    """Keep the modules of the current folder, to tell later which one is mutated."""
    for package in PACKAGES:
        shutil.copytree(package, Path(ORIGINAL) / package)


def mutated_module() -> str:
    (module,) = [
        module
        for module in modules()
        if Path(module).read_bytes() != (ORIGINAL / Path(module)).read_bytes()
    ]
    return module


if __name__ == "__main__":
    sys.exit(run_tests(mutated_module()))
