"""What the words say and what the code does, held in step."""

import ast
import re

from django.core.management import get_commands

from rewards.choices import MIN_THRESHOLD, RULE_TYPE_SPECS
from rewards.exceptions import RewardsError
from tests.processes import ROOT

README = (ROOT / "README.md").read_text()
ENV_EXAMPLE = (ROOT / ".env.example").read_text()
OUR_APPS = {"rewards", "rewards_site", "localservers"}


def section(title):
    """Return the text below a heading of the README."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def variables_read():
    """Return the names of all environment variables that the settings read."""
    readers = {"env_bool", "env_int", "env_level", "env_zone", "required"}
    tree = ast.parse((ROOT / "rewards_site/settings.py").read_text())
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and (
            (isinstance(node.func, ast.Name) and node.func.id in readers)
            or (
                isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "env"
            )
        )
    }


def test_the_readme_has_a_row_for_each_variable_that_is_read():
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", section("Settings"), re.M)) == variables_read()


def test_the_example_of_an_environment_names_each_variable_that_is_read():
    assert set(re.findall(r"^# ([A-Z_]+)=", ENV_EXAMPLE, re.M)) == variables_read()


def test_the_readme_has_a_row_for_each_command():
    commands = {name for name, app in get_commands().items() if app in OUR_APPS}

    assert set(re.findall(r"^\| `([a-z_]+)", section("Commands"), re.M)) == commands


def test_the_readme_has_a_row_for_each_rule_type_with_its_limits():
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| every (day|week) \|.*\| ([0-9]+) to ([0-9,]+) \|$",
        section("How points are earned"),
        re.M,
    )

    assert rows == [
        (
            rule_type.value,
            {"daily": "day", "weekly": "week"}[terms.cadence],
            str(MIN_THRESHOLD),
            f"{terms.max_threshold:,}",
        )
        for rule_type, terms in RULE_TYPE_SPECS.items()
    ]


def test_the_readme_has_a_row_for_each_exit_code_of_an_exception():
    def codes(kind):
        return {kind.exit_code}.union(*(codes(each) for each in kind.__subclasses__()))

    explained = {int(code) for code in re.findall(r"^\| ([0-9]+) \|", section("Commands"), re.M)}

    assert codes(RewardsError) <= explained


def test_the_first_screen_of_the_readme_has_the_two_commands():
    first_screen = README.splitlines()[:24]

    assert any(
        "`pip install -r requirements.txt && python manage.py demo`" in line
        for line in first_screen
    )
    assert any("`pip install -r requirements-dev.txt && pytest`" in line for line in first_screen)


def test_links_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]

    missing = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert missing == []


def test_the_gate_runs_the_test_command_of_the_readme():
    *_, command = re.findall(r"^[0-9]\. `(.+)`$", section("Start"), re.M)

    lines = [line.strip() for line in (ROOT / ".ci/run").read_text().splitlines()]
    assert command in lines
