"""A page and its end."""

from rewards.selectors.pages import Page, page_of


def page(rows, limit):
    return page_of(rows, limit=limit, key=str.upper)


def test_one_more_row_than_the_limit_means_another_page():
    assert page(["a", "b", "c"], 2) == Page(["a", "b"], "B")


def test_the_last_page_has_no_next():
    assert page(["a", "b"], 2) == Page(["a", "b"], None)
    assert page([], 2) == Page([], None)
