"""A rule type is a member, its spec, an evaluator and a migration, and nothing else."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT, TIMEOUT_SECONDS, environment

PACKAGES = ("rewards", "rewards_site", "localservers", "templates")

MEMBERS = """
    DAILY_SECOND_LOGIN = "DAILY_SECOND_LOGIN", "Daily second login"
    WEEKLY_VIDEO_CALLS = "WEEKLY_VIDEO_CALLS", "Weekly video calls"
"""
SPECS = """
    RuleType.DAILY_SECOND_LOGIN: RuleTypeSpec(Cadence.DAILY, 100, "logins", "login"),
    RuleType.WEEKLY_VIDEO_CALLS: RuleTypeSpec(
        Cadence.WEEKLY, 10_000, "video_calls", "completed video call"
    ),
"""
FUNCTIONS = """
def daily_second_login(rule: Rule, facts: Facts) -> Evaluation:
    return Evaluation(facts.logins >= rule.threshold, facts.logins)


def weekly_video_calls(rule: Rule, facts: Facts) -> Evaluation:
    return Evaluation(facts.video_calls >= rule.threshold, facts.video_calls)


"""
EVALUATORS = """
    RuleType.DAILY_SECOND_LOGIN: daily_second_login,
    RuleType.WEEKLY_VIDEO_CALLS: weekly_video_calls,
"""

MAIN_PAGES = [
    "/admin/",
    "/admin/rewards/rewardrule/",
    "/admin/rewards/rewardrule/add/?rule_type=DAILY_SECOND_LOGIN",
    "/admin/rewards/rewardrule/add/?rule_type=WEEKLY_VIDEO_CALLS",
    "/admin/rewards/scorehistory/",
    "/admin/rewards/scorehistory/?rule_type__exact=WEEKLY_VIDEO_CALLS",
    "/admin/rewards/scorehistory/export/csv/",
    "/admin/rewards/score/leaderboard/",
    "/admin/rewards/awardrun/",
    "/admin/rewards/awardrun/journal/",
]


def copy_of_project(folder: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(Path(__file__).parent / "walk.py", folder / "walk.py")
    return folder


def insert_after(path: Path, line: str, text: str) -> None:
    source = path.read_text()
    assert source.count(line) == 1, line
    path.write_text(source.replace(line, line + text.rstrip("\n")))


def test_new_rule_types_work_everywhere(committed, tmp_path):
    project = copy_of_project(tmp_path)
    choices = project / "rewards/choices.py"
    insert_after(choices, '"WEEKLY_CONSISTENCY", "Weekly consistency"', MEMBERS)
    insert_after(choices, "RULE_TYPE_SPECS: dict[RuleType, RuleTypeSpec] = {", SPECS)
    evaluators = project / "rewards/engine/evaluators.py"
    source = evaluators.read_text().replace("\nEVALUATORS: ", f"{FUNCTIONS}EVALUATORS: ")
    evaluators.write_text(source)
    insert_after(evaluators, "EVALUATORS: Mapping[RuleType, Evaluator] = {", EVALUATORS)

    walk = subprocess.run(
        [sys.executable, "-c", "import django; django.setup(); import walk; walk.main()"],
        cwd=project,
        env=environment(DJANGO_SETTINGS_MODULE="rewards_site.settings", LOG_LEVEL="ERROR"),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )

    assert walk.returncode == 0, walk.stderr
    found = json.loads(walk.stdout)
    days = [f"2025-06-0{day}" for day in range(2, 9)]
    assert found["award_due"] == 0
    assert found["ledger"] == [
        *(["DAILY_SECOND_LOGIN", day, "ada", 2] for day in days),
        ["WEEKLY_VIDEO_CALLS", days[0], "ada", 14],
    ]
    assert found["explain"] == {
        "DAILY_SECOND_LOGIN": "2 logins (2 needed): paid 7 points.",
        "WEEKLY_VIDEO_CALLS": "14 completed video calls (14 needed): paid 70 points.",
    }
    assert found["previews"] == [[7, 8, {"bo": 1}, {}], [1, 0, {}, {"ada": 1}]]
    assert found["exported"] == 8
    assert found["verify"] == {}
    assert found["phantom"] == [
        "host bo has an award of DAILY_SECOND_LOGIN for 2025-06-02 for a count of 2, "
        "its activity has 1",
        "host bo has an award of WEEKLY_VIDEO_CALLS for 2025-06-02 for a count of 14, "
        "its activity has 1",
    ]
    assert found["missed"] == [
        "host ada has earned DAILY_SECOND_LOGIN for 2025-06-02 and has no award",
        "host ada has earned WEEKLY_VIDEO_CALLS for 2025-06-02 and has no award",
    ]
    weekly = ["WEEKLY_VIDEO_CALLS", days[0], 14]
    monday = ["DAILY_SECOND_LOGIN", days[0], 2]
    assert found["api"] == {
        "host": [["DAILY_SECOND_LOGIN", days[6], 2], weekly],
        "awards": [
            *(["DAILY_SECOND_LOGIN", day, 2] for day in days[:0:-1]),
            weekly,
            monday,
        ],
        "explanation": [monday, weekly],
        "run": [monday],
        "by_rule": {"awards": 1, "points": 7},
    }
    pages = found["pages"]
    assert len(pages) > 30
    # Nobody adds or deletes rows of the ledger; runs are started by POST.
    assert {page: status for page, status in pages.items() if status not in {200, 403, 405}} == {}
    assert [page for page in MAIN_PAGES if pages[page] != 200] == []
