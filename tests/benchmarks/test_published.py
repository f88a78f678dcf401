import json

import pytest

from benchmarks import publish
from benchmarks.report import filled


@pytest.mark.parametrize("name", publish.PAGES)
def test_the_docs_show_the_stored_results(name):
    text = (publish.DOCS / name).read_text()

    assert text == filled(text, json.loads(publish.RESULTS.read_text()))
