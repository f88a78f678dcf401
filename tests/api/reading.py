"""How tests read lists and answers of the API."""


def documented(schema, answer):
    """Return an answer whose keys, at every depth, are those that the document lists."""
    listed = schema.model_validate(answer).model_dump(mode="json")
    assert _keys(listed) == _keys(answer)
    return answer


def pages(api, address, name, *, limit, meanwhile=lambda: None):
    """Return the rows of each page of a list; `meanwhile` is called after each page."""
    separator = "&" if "?" in address else "?"
    found, after = [], ""
    while True:
        cursor = f"&cursor={after}" if after else ""
        response = api.get(f"{address}{separator}limit={limit}{cursor}")
        assert response.status_code == 200, response.content
        page = response.json()
        found.append(page[name])
        after = page["next"]
        if after is None:
            return found
        assert len(found) < 1_000, "the list does not end"
        meanwhile()


def _keys(value):
    if isinstance(value, dict):
        return {key: _keys(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_keys(inner) for inner in value]
    return None
