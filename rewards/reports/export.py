"""The ledger as a file for other programs."""

from collections.abc import Iterator
from datetime import date

from django.db import connection
from psycopg import sql


def ledger_csv(*, first: date, last: date) -> Iterator[bytes]:
    """Yield the ledger of `first`..`last` as blocks of CSV, header first.

    Rows are `user_id,rule_type,reference_date,points`, where user_id is the host's external id,
    sorted by these in byte order. Ids are unchanged, so that a program reads what was imported;
    only the admin's downloads, made for spreadsheets, escape formulas.
    """
    query = sql.SQL("""
        COPY (
            SELECT external_id AS user_id, rule_type, reference_date, points
            FROM rewards_scorehistory
            JOIN rewards_user ON rewards_user.id = user_id
            WHERE reference_date BETWEEN {first} AND {last}
            ORDER BY external_id COLLATE "C", rule_type COLLATE "C", reference_date
        ) TO STDOUT WITH (FORMAT csv, HEADER)
    """).format(first=first, last=last)
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(query.as_string()) as copy,
    ):
        for block in copy:
            yield bytes(block)
