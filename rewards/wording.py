"""Numbers with their nouns."""


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: "1 award", "2,000 awards"."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
