"""What the guest's plugins may reach: a context variable, as their constructors know no Reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from services.access.admission import Admitted
from services.errors import ServicesError


class NotAdmitted(ServicesError):
    """A plugin that was run outside of `admitted`: a fault of ours, refused rather than guessed."""


@dataclass(frozen=True, slots=True)
class Session:
    """The way to the store of whoever asks."""

    admitted: Admitted


_session: ContextVar[Session] = ContextVar("guest_session")


@contextmanager
def admitted(session: Session) -> Iterator[None]:
    """Let plugins read as this reader, here and in threads that copy this context."""
    token = _session.set(session)
    try:
        yield
    finally:
        _session.reset(token)


def current_session() -> Session:
    """Return the session of the request.

    Raises
    ------
    NotAdmitted
        Where none was set; there is no reader to fall back to.
    """
    try:
        return _session.get()
    except LookupError:
        raise NotAdmitted("no reader was set for the guest; run it within admitted(...)") from None
