"""Reads for people: each report is a frozen dataclass, rendered as text, JSON and page."""
