"""The sidebar of the admin."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.test import RequestFactory

from rewards_site.theme import UNFOLD
from tests.factories import StaffFactory

LINKS = [item for group in UNFOLD["SIDEBAR"]["navigation"] for item in group["items"]]

pytestmark = pytest.mark.django_db


def titles_for(user):
    request = RequestFactory().get("/")
    request.user = user
    return [link["title"] for link in LINKS if link["permission"](request)]


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link["title"])
def test_a_page_is_headed_by_the_words_of_its_link(link, client):
    client.force_login(StaffFactory(is_superuser=True))

    page = client.get(str(link["link"])).content.decode()

    (heading,) = re.findall(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
    assert re.sub(r"<[^>]*>|\s+", " ", heading).strip() == link["title"]
    assert re.search(rf"<title>\s*{link['title']} \|", page)


@pytest.mark.parametrize(
    ("model", "title"),
    [
        ("rewardrule", "Rules"),
        ("host", "Hosts"),
        ("awardrun", "Runs"),
        ("scorehistory", "Awards"),
        ("score", "Leaderboard"),
        ("dailyactivity", "Daily activity"),
        ("activityevent", "Activity events"),
    ],
)
def test_a_link_is_shown_to_those_who_may_view_its_page(model, title):
    user = StaffFactory()
    user.user_permissions.add(Permission.objects.get(codename=f"view_{model}"))

    assert titles_for(user) == ["Overview", title]


def test_what_grants_rights_is_shown_to_superusers_only():
    user = StaffFactory()
    user.user_permissions.set(Permission.objects.all())

    everything = titles_for(StaffFactory(is_superuser=True))
    assert everything == [link["title"] for link in LINKS]
    assert [title for title in everything if title not in titles_for(user)] == [
        "Staff",
        "Groups",
        "API clients",
        "Schedule",
    ]
