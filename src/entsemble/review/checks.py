"""Checks of a session's rows when it is opened, so that no later edit meets values that do not fit together."""

from __future__ import annotations

import sqlite3
from typing import get_args

from entsemble.review.database import Database
from entsemble.review.edits import DONE, IN_WORK, NEW, Status

_TABLES = ("documents", "sentences", "spans", "edits", "pool_entries")
_STORED_TYPES = {"INTEGER": "('integer')", "TEXT": "('text')", "REAL": "('real', 'integer')"}


def check_session(database: Database) -> None:
    """Check the types, names and places of all that a session holds.

    Raises:
        DataError: something other than this program has changed it.
    """
    labels = database.setting("labels")
    are_labels = all(type(row) is list and len(row) == 2 and all(type(one) is str for one in row) for row in labels)
    with database.reading() as connection:
        if not are_labels:
            raise sqlite3.DatabaseError("its labels are no names with definitions")
        for table in _TABLES:
            _refuse(connection, f"a value in {table} is of another type", table, _other_types(connection, table))
        _refuse(connection, "a document is in an unknown state", "documents", f"state NOT IN {(NEW, IN_WORK, DONE)}")
        _refuse(connection, "a mention is in an unknown state", "spans", f"status NOT IN {get_args(Status)}")
        for table, condition in (("sentences", "start <= end"), ("spans", "start < end")):
            _refuse(connection, f"a place in {table} is impossible", table, f"NOT (0 <= start AND {condition})")
        for table, owner in (
            ("sentences", "documents WHERE id"),
            ("spans", "sentences WHERE number = sentence AND document"),
        ):
            without = f"NOT EXISTS (SELECT 1 FROM {owner} = {table}.document)"
            _refuse(connection, f"an entry of {table} belongs to nothing", table, without)


def _other_types(connection: sqlite3.Connection, table: str) -> str:
    """The condition of rows that hold what this program does not write; SQLite itself stores any type in any column."""
    query = 'SELECT name, type, "notnull" OR pk FROM pragma_table_info(?)'
    conditions = []
    for name, declared, is_required in connection.execute(query, (table,)):
        condition = f"typeof({name}) NOT IN {_STORED_TYPES[declared]}"
        conditions.append(condition if is_required else f"({name} IS NOT NULL AND {condition})")
    return " OR ".join(conditions)


def _refuse(connection: sqlite3.Connection, problem: str, table: str, condition: str) -> None:
    if connection.execute(f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1").fetchone():
        raise sqlite3.DatabaseError(problem)
