"""What can go wrong with the database, told in words that an operator can act on."""

from __future__ import annotations


class DatabaseUnavailable(Exception):
    """The database cannot be reached or used; the message says what to do."""


class StatementTimeout(Exception):
    """PostgreSQL has stopped a statement: it took too long (database.py says how long), or an operator ended it."""
