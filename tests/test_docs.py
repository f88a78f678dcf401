"""The documents say what the code does."""

import ast
import re
import tomllib

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from rewards.choices import MIN_THRESHOLD, RULE_TYPE_SPECS
from rewards.exceptions import RewardsError
from tests.processes import ROOT

APPS = {"rewards", "rewards_site", "localservers"}
PAGES = [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
] + [
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("rewards/**/*.md"),
    *ROOT.glob("tests/**/*.md"),
]
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
ENV_EXAMPLE = (ROOT / ".env.example").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def section(title, page=README):
    """Return the text below a heading of a page."""
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def texts():
    return {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}


# --- Settings ---------------------------------------------------------------------------------


def settings_read():
    """Return the variables that the settings read, each with its default if that is a constant."""
    tree = ast.parse((ROOT / "rewards_site/settings.py").read_text())
    found = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        if getattr(node.func, "attr", "") == "setdefault":
            continue
        name = node.args[0]
        if not (isinstance(name, ast.Constant) and re.fullmatch("[A-Z_]{5,}", str(name.value))):
            continue
        defaults = [word.value for word in node.keywords if word.arg == "default"]
        default = defaults[0].value if defaults and isinstance(defaults[0], ast.Constant) else None
        found[name.value] = default or found.get(name.value)
    return found


def as_written(default):
    return str(default).lower() if isinstance(default, bool) else str(default)


def test_the_readme_lists_each_setting_with_its_default():
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", section("Settings"), re.M))
    read = settings_read()

    assert rows.keys() == read.keys()
    assert {name: rows[name] for name, default in read.items() if default} == {
        name: f"`{as_written(default)}`" for name, default in read.items() if default
    }


def test_env_example_lists_each_setting():
    assert set(re.findall(r"^# ([A-Z_]+)=", ENV_EXAMPLE, re.M)) == settings_read().keys()


def test_env_example_shows_the_defaults_of_the_engine():
    shown = dict(re.findall(r"^# (REWARDS_[A-Z_]+)=(.+)$", ENV_EXAMPLE, re.M))

    assert shown == {
        name: as_written(default)
        for name, default in settings_read().items()
        if name.startswith("REWARDS_")
    }


# --- Commands ---------------------------------------------------------------------------------


def own_commands():
    return {name: app for name, app in get_commands().items() if app in APPS}


def options_of(command):
    """Return the options of a command that Django's own commands do not have."""

    def options(parser):
        return {option for action in parser._actions for option in action.option_strings}

    parser = load_command_class(own_commands()[command], command).create_parser("", command)
    django = BaseCommand().create_parser("", "")
    return {name for name in options(parser) - options(django) if name != "--format"}


def test_the_readme_lists_each_command():
    rows = re.findall(r"^\| `([a-z_]+)", section("Commands"), re.M)

    assert sorted(rows) == sorted(own_commands())


@pytest.mark.parametrize("command", sorted(own_commands()))
def test_the_readme_lists_each_option_of(command):
    (usage,) = re.findall(rf"^\| `({command}\b[^`]*)`", section("Commands"), re.M)

    assert set(re.findall(r"--[a-z-]+", usage)) == options_of(command)


def test_documents_name_commands_that_exist():
    known = get_commands().keys() | {"createsuperuser", "collectstatic", "axes_reset_username"}

    assert [
        (page, command)
        for page, text in texts().items()
        for command in re.findall(r"manage\.py\s+([a-z_]+)", text)
        if command not in known
    ] == []


def test_the_readme_explains_each_exit_code():
    def of_exceptions(kind):
        return {kind.exit_code}.union(*(of_exceptions(sub) for sub in kind.__subclasses__()))

    in_commands = {
        word.value.value
        for folder in APPS
        for path in (ROOT / folder).glob("management/**/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for word in node.keywords
        if word.arg == "returncode" and isinstance(word.value, ast.Constant)
    }
    rows = re.findall(r"^\| ([0-9, ]+) \|", section("Commands"), re.M)
    explained = {int(code) for row in rows for code in row.split(",")}

    assert {4, 5, 130, 143} <= in_commands  # found at all
    assert explained == {0} | of_exceptions(RewardsError) | in_commands


# --- Rules ------------------------------------------------------------------------------------


def test_the_readme_lists_each_rule_type_with_its_limits():
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| every (day|week) \|.*\| ([0-9]+) to ([0-9,]+) \|$",
        section("How points are earned"),
        re.M,
    )

    assert rows == [
        (
            rule_type.value,
            {"daily": "day", "weekly": "week"}[spec.cadence],
            str(MIN_THRESHOLD),
            f"{spec.max_threshold:,}",
        )
        for rule_type, spec in RULE_TYPE_SPECS.items()
    ]


# --- Working on the project -------------------------------------------------------------------


def test_the_first_screen_of_the_readme_starts_the_product():
    first_screen = "\n".join(README.splitlines()[:24])

    assert "`pip install -r requirements.txt && python manage.py demo`" in first_screen
    assert "`pip install -r requirements-dev.txt && pytest`" in first_screen
    assert "](docs/glossary.md)" in first_screen


def test_the_gate_runs_the_readme_s_test_command():
    (command,) = re.findall(r"`(pip install [^`]*pytest)`", section("Start"))

    assert command in (ROOT / ".ci/run").read_text()


def test_contributing_lists_each_part_of_the_gate():
    (parts,) = re.findall(
        r"^\[ \$# -gt 0 \] \|\| set -- (.+)$", (ROOT / ".ci/run").read_text(), re.M
    )
    (row,) = re.findall(r"^\| `\.ci/run.*$", CONTRIBUTING, re.M)

    assert re.findall(r"`([a-z]+)`", row) == parts.split()


def test_documents_use_markers_that_exist():
    known = {line.split(":")[0] for line in PYPROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    used = {name for text in texts().values() for name in re.findall(r"pytest -m ([a-z]+)", text)}

    assert used
    assert used <= known


def test_contributing_lists_the_layers_that_are_enforced():
    (contract,) = [
        contract
        for contract in PYPROJECT["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == ["rewards"]
    ]
    modules = {
        module
        for layer in contract["layers"]
        for module in re.findall(r"\w+", layer)
        if (ROOT / "rewards" / module).is_dir() or (ROOT / f"rewards/{module}.py").is_file()
    }
    rows = re.findall(r"^\| (`.*?) \|", section("Where things go", CONTRIBUTING), re.M)

    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == modules - {"apps"}


# --- Links ------------------------------------------------------------------------------------


def anchors_of(text):
    """Return the anchors that GitHub gives to the headings of a page."""
    return {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.M)
    }


def test_links_lead_somewhere():
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
            name, _, anchor = target.partition("#")
            path = page.parent / name if name else page
            if not path.exists() or (anchor and anchor not in anchors_of(path.read_text())):
                broken.append((page.name, target))

    assert broken == []


def test_documents_name_files_that_exist():
    folders = "rewards|rewards_site|localservers|tests|benchmarks|docs|deploy"
    path = re.compile(rf"`((?:{folders})/[\w./-]*\w)")

    assert [
        (page, name)
        for page, text in texts().items()
        for name in path.findall(text)
        if not (ROOT / name).exists()
    ] == []


# --- Words ------------------------------------------------------------------------------------

REPLACED_WORDS = {
    "shards?": "batch",
    "judg(e|es|ed|ing)|judgement": "evaluate",
    "at hand": "today's, the current one",
    "whoever": "the person, the process",
    "luckier": "finished first",
    "doorbell|bells?|beat rings|rung": "tick, beat enqueues, last run",
    r"floors?(?!\()": "layer",
    "doors?": "the ORM, the database",
    "tak(e|en) away": "export",
    "parted": "separated",
    "gone": "deleted, ended, not eligible",
    "cry|cries": "fail",
    "mend(s|ed|ing)?": "fix",
    "anew": "again",
    "amid": "during",
    "for ever": "permanently",
    "lately": "in the last days",
    "patience": "timeout",
    "makes no sense": "is invalid",
    "wants a run": "is due",
    "comes? forward": "progress",
}
"""Words of the glossary's last column and of their kind -> what to write."""

TEXTS = [
    *("*.md", "docs/*.md", ".ci/*", ".github/**/*.yml", "deploy/*", "pyproject.toml"),
    *(f"{folder}/**/*.py" for folder in (*APPS, "benchmarks", "tests")),
    *("templates/**/*.html", "rewards/static/**/*.js", "rewards/static/**/*.css", "*.in"),
]
NAMES_OLD_WORDS = {"CHANGELOG.md", "docs/glossary.md", "tests/test_docs.py"}


def test_every_text_uses_the_words_of_the_glossary():
    """Identifiers too: an underscore ends a word."""
    patterns = {
        re.compile(rf"(?<![a-z])({words})(?![a-z])", re.I): instead
        for words, instead in REPLACED_WORDS.items()
    }
    files = {path for pattern in TEXTS for path in ROOT.glob(pattern)}
    names = {str(path.relative_to(ROOT)): path for path in files if path.is_file()}
    assert len(names) > 300

    assert [
        f"{name}:{number}: {found[0]!r}; write: {instead}"
        for name, path in sorted(names.items())
        if name not in NAMES_OLD_WORDS
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for pattern, instead in patterns.items()
        if (found := pattern.search(line))
    ] == []
