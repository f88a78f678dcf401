"""Reads: one question and one query for each function."""
