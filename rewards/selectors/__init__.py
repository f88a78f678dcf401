"""Queries: each function answers one question with one query."""
