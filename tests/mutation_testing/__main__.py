"""Mutation testing by Cosmic Ray: which small changes of the code do the tests notice?

    python -m tests.mutation_testing engine    every mutant of rewards/engine
    python -m tests.mutation_testing sample    300 of rewards/services, reports and selectors

Each mutant is made in a copy of the project, and the tests of its own module run there, up to the
first that fails. Prints the score and the survivors, with the reasons of survivors.toml. Ends with
1 when fewer are killed than are required. With --session FILE, an interrupted run continues.
"""

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import psycopg
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

from localservers.postgresql.database import LocalDatabase
from localservers.temporary import temporary_servers
from tests.mutation_testing.mutant import WITH_DATABASE, modules
from tests.mutations import PARTS, ROOT

CONFIG = "tests/mutation_testing/cosmic-ray.toml"
SURVIVORS = "tests/mutation_testing/survivors.toml"
PACKAGES = {
    "engine": ("rewards/engine/",),
    "sample": ("rewards/services/", "rewards/reports/", "rewards/selectors/"),
}
REQUIRED = {"engine": 0.95, "sample": 0.85}
SAMPLE = 300
CREATES_THE_DATABASE = "tests/models/test_migrations.py::test_no_migration_is_missing"

Position = tuple[int, int]
"""Row and column."""


# --- The mutants ------------------------------------------------------------------------------


def choose(session: Path, scope: str, number: int, seed: int) -> None:
    """Keep the mutants of `scope` in a session: all, or `number` of them at random."""
    signatures = {module: list(signatures_of(module)) for module in modules()}

    def is_out_of_scope(mutant: MutationSpec) -> bool:
        module = str(mutant.module_path)
        return not module.startswith(PACKAGES[scope]) or any(
            start <= mutant.start_pos < end for start, end in signatures[module]
        )

    with use_db(str(session), WorkDB.Mode.open) as database:
        skip(database, is_out_of_scope)
        if scope == "sample":
            places = sorted(map(place_of, database.pending_work_items))
            chosen = set(random.Random(seed).sample(places, min(number, len(places))))
            skip(database, lambda mutant: _place(mutant) not in chosen)


def skip(database: WorkDB, is_skipped: Callable[[MutationSpec], bool]) -> None:
    jobs = [item.job_id for item in database.pending_work_items if is_skipped(item.mutations[0])]
    database.set_multiple_results(jobs, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))


def signatures_of(module: str) -> Iterator[tuple[Position, Position]]:
    """Yield where annotations, and the * before keyword arguments, begin and end in a module.

    They change no result; Cosmic Ray takes them for operators.
    """
    lines = Path(module).read_text().splitlines()
    for row, line in enumerate(lines, start=1):
        for star in re.finditer(r"\*(?=,)", line):
            yield (row, star.start()), (row, star.end())
    for node in ast.walk(ast.parse("\n".join(lines))):
        for name in ("annotation", "returns"):
            found = getattr(node, name, None)
            if isinstance(found, ast.expr):
                end = (found.end_lineno or found.lineno, found.end_col_offset or 0)
                yield (found.lineno, found.col_offset), end


def place_of(item: WorkItem) -> tuple[str, str, int]:
    return _place(item.mutations[0])


def _place(mutant: MutationSpec) -> tuple[str, str, int]:
    return str(mutant.module_path), mutant.operator_name, mutant.occurrence


def pending(session: Path) -> list[WorkItem]:
    with use_db(str(session), WorkDB.Mode.open) as database:
        return list(database.pending_work_items)


# --- A run ------------------------------------------------------------------------------------


def run(session: Path, scope: str, number: int, seed: int) -> None:
    """Test the mutants of a session, a new one or an interrupted one."""
    with (
        temporary_servers(prefix="rewards-mutation-testing-") as folder,
        tempfile.TemporaryDirectory(prefix="rewards-mutants-") as copy,
    ):
        for part in PARTS:
            if (ROOT / part).is_dir():
                # A mutant may be written within a second of the original, and then look as old.
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / part, Path(copy) / part, ignore=ignored)
            else:
                shutil.copy(ROOT / part, copy)
        address = LocalDatabase(folder / "database", name="rewards", durable=False).url()
        programs = Path(sys.executable).parent
        environment = {
            **os.environ,
            "DATABASE_URL": address,
            "DEBUG": "true",
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        }

        def start(*command: str) -> subprocess.Popen[bytes]:
            return subprocess.Popen(command, cwd=copy, env=environment)

        def finish(*command: str) -> None:
            if code := start(*command).wait():
                raise RuntimeError(f"{' '.join(command)} ended with {code}.")

        finish("python", "-m", "pytest", *WITH_DATABASE, "--create-db", CREATES_THE_DATABASE)
        server, _, _ = address.rpartition("/")
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute("ALTER DATABASE test_rewards RENAME TO rewards_template")
        if not session.exists():
            finish("cosmic-ray", "init", CONFIG, str(session))
            finish("cr-filter-operators", str(session), CONFIG)
            with chdir(copy):
                choose(session, scope, number, seed)
        mutant = "import sys; from tests.mutation_testing import mutant"
        finish("python", "-c", f"{mutant}; mutant.keep_originals()")

        def check(module: str) -> None:
            finish("python", "-c", f"{mutant}; sys.exit(mutant.run_tests({module!r}))")

        mutated = sorted({place_of(item)[0] for item in pending(session)})
        for module in mutated:
            check(module)
        process = start("cosmic-ray", "exec", CONFIG, str(session))
        try:
            while process.poll() is None:
                time.sleep(10)
                sys.stderr.write(f"{len(pending(session))} mutants left\n")
        finally:
            process.kill()  # it must not go on after its copy was removed
        if process.wait():
            raise RuntimeError(f"cosmic-ray ended with {process.returncode}.")
        for module in mutated[-1:]:
            check(module)  # otherwise tests failed for another reason than their mutant


# --- The report -------------------------------------------------------------------------------


def report(session: Path, scope: str) -> int:
    """Print the score of each module and the survivors; return the exit code."""
    with use_db(str(session), WorkDB.Mode.open) as database:
        module_of = {item.job_id: place_of(item)[0] for item in database.work_items}
        results = [
            (module_of[job], result)
            for job, result in database.results
            if result.worker_outcome != WorkerOutcome.SKIPPED
        ]
    if incompetent := [r.output for _, r in results if r.test_outcome == TestOutcome.INCOMPETENT]:
        raise RuntimeError(f"{len(incompetent)} mutants were not tested: {incompetent[0]}")
    made = Counter(module for module, _ in results)
    killed = Counter(module for module, result in results if result.is_killed)
    for module, number in sorted(made.items()):
        sys.stdout.write(f"{module}: {killed[module]} of {number} killed\n")
    reasons = {
        survivor["line"]: survivor["reason"]
        for survivor in tomllib.loads((ROOT / SURVIVORS).read_text())["survivors"]
    }
    survivors = sorted(
        (module, *changed_lines(result.diff)) for module, result in results if not result.is_killed
    )
    for module, before, after in survivors:
        reason = reasons.get(after, "No reason is given.")
        sys.stdout.write(f"\n{module}\n  - {before}\n  + {after}\n  {reason}\n")
    score = killed.total() / made.total()
    sys.stdout.write(f"\n{killed.total()} of {made.total()} mutants killed: {score:.1%}\n")
    return int(score < REQUIRED[scope])


def changed_lines(diff: str) -> tuple[str, str]:
    """Return the lines before and after a mutation, joined where there are several."""
    before, after = (
        " ".join(re.findall(rf"^{sign}(?!{sign}{sign} )\s*(.*?)\s*$", diff, re.MULTILINE))
        for sign in ("-", r"\+")
    )
    return before, after


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scope", choices=PACKAGES)
    parser.add_argument("--number", type=int, default=SAMPLE, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--session", type=Path, metavar="FILE", help="keep the results here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        session = (options.session or Path(folder) / "session.sqlite").resolve()
        run(session, options.scope, options.number, options.seed)
        return report(session, options.scope)


if __name__ == "__main__":
    sys.exit(main())
