"""Databases for tests, on one server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.engine import make_url


class Databases:
    """Makes databases on a server of the tests' own."""

    def __init__(self, dsn: str, server: psycopg.Connection[tuple[object, ...]]) -> None:
        self._dsn = dsn
        self._server = server
        self._made: set[str] = set()

    def __call__(self, template: str | None = None) -> str:
        """Make one, empty or copied from another, that stays until the last test has run."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        copied = ""
        if template is not None:
            copied = f' TEMPLATE "{make_url(template).database}" STRATEGY file_copy'
        self._server.execute(f'CREATE DATABASE "{name}"{copied}')
        self._made.add(name)
        return make_url(self._dsn).set(database=name).render_as_string(hide_password=False)

    @contextmanager
    def passing(self, template: str | None = None) -> Iterator[str]:
        """Make one for a while: thousands of tests that kept theirs would fill a disk."""
        dsn = self(template)
        try:
            yield dsn
        finally:
            self._drop(str(make_url(dsn).database))

    def drop_all(self) -> None:
        """Drop those that stayed."""
        for name in sorted(self._made):
            self._drop(name)

    def _drop(self, name: str) -> None:
        self._server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._made.discard(name)
