"""What reads for the API takes the visible hosts: forgetting them does not type-check."""

import ast
import importlib
import inspect
import pkgutil

import pytest

import rewards.api
from rewards.selectors.visible_hosts import VisibleHosts

READERS = ("rewards.reports", "rewards.selectors")

READS_NO_HOST = {
    # The zone, keys and migrations.
    "rewards.selectors.database": {"pending_migrations"},
    "rewards.selectors.time_zone": {"business_date", "business_time_zone"},
    "rewards.selectors.api_clients": {"key_of_text"},
}


def imported_functions(module):
    """Return (module, name) of each function of a report or selector that `module` imports."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(READERS):
            source = importlib.import_module(node.module)
            for name in [alias.name for alias in node.names]:
                if inspect.isfunction(getattr(source, name)):
                    yield node.module, name


def readers_of_the_api():
    return sorted(
        {
            (source, name)
            for info in pkgutil.iter_modules(rewards.api.__path__)
            for source, name in imported_functions(
                importlib.import_module(f"rewards.api.{info.name}")
            )
            if name not in READS_NO_HOST.get(source, ())
        }
    )


def requires_visible_hosts(source, name):
    parameter = inspect.signature(
        getattr(importlib.import_module(source), name), eval_str=True
    ).parameters.get("visible")
    return (
        parameter is not None
        and parameter.kind == parameter.KEYWORD_ONLY
        and parameter.default is parameter.empty
        and parameter.annotation is VisibleHosts
    )


@pytest.mark.parametrize(("source", "name"), readers_of_the_api())
def test_what_the_api_calls_requires_the_visible_hosts(source, name):
    assert requires_visible_hosts(source, name)


def test_the_api_reads_by_these_functions():
    names = {name for _, name in readers_of_the_api()}

    assert names >= {
        "awards_of_host",
        "awards_of_run",
        "explain_host",
        "journal_page",
        "journal_row",
        "progress",
        "week_leaders",
    }


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("rewards.selectors.hosts", "host_by_external_id"),
        ("rewards.selectors.leaders", "ranking_page"),
        ("rewards.selectors.leaders", "recorded_leaders"),
        ("rewards.selectors.ledger_pages", "ledger_of_host"),
        ("rewards.selectors.ledger_pages", "ledger_of_run"),
        ("rewards.selectors.runs", "run_by_id"),
        ("rewards.selectors.runs", "runs_page"),
    ],
)
def test_what_finds_hosts_for_the_api_requires_the_visible_hosts(source, name):
    """Others are given the id of a host that was found to be visible."""
    assert requires_visible_hosts(source, name)
