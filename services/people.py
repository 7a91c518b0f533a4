"""What the command line does with people: keys, grants, applications, accounts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from layers.access.applications import Application, Decision
from layers.access.desk import Desk
from layers.access.grants import Grant, Terms
from layers.access.policy import Caller
from layers.store import Store
from services.access.terms import NAMES, read_terms, summary
from services.commands import settings_of, writer
from services.errors import BadParameter
from services.opening import opened_store
from spatial.periods import format_instant

Options = argparse.Namespace


def create_key(options: Options) -> None:
    """Make an API key and show it."""
    with _at_desk(options) as (desk, store):
        expires = store.clock() + timedelta(days=options.days) if options.days else None
        key, text = desk.make_key(options.name, _terms(options), expires)
    print(f"key {key.id} ({options.role}); it is not shown again:", file=sys.stderr)
    print(text)


def list_keys(options: Options) -> None:
    """Print every key that ever was."""
    with _at_desk(options) as (desk, store):
        now = store.clock()
        for key in desk.every_key():
            state = "" if key.is_valid(now) else "revoked" if key.revoked_at else "expired"
            demo = "demo" if key.demo else ""
            print(
                f"key:{key.id}  {key.name}  made {_text(key.created_at)} by {key.created_by}  "
                f"expires {_text(key.expires_at)}  last used {_text(key.used_at)}  "
                f"{state}{demo}".rstrip()
            )


def revoke_key(options: Options) -> None:
    """Let a key open nothing any more."""
    with _at_desk(options) as (desk, _):
        key = desk.revoke_key(options.key.removeprefix("key:"))
        print(f"key {key.id} ({key.name}) opens nothing any more")


def list_grants(options: Options) -> None:
    """Print the grants in force, and what was taken back where that is asked for."""
    with _at_desk(options) as (desk, _):
        for grant in desk.grants(taken=options.all):
            if options.grantee in (None, grant.grantee):
                print(_line(grant))


def give(options: Options) -> None:
    """Give a grant."""
    with _at_desk(options) as (desk, _):
        print(_line(desk.give(options.grantee, _terms(options))))


def take(options: Options) -> None:
    """Take a grant back."""
    with _at_desk(options) as (desk, _):
        print(_line(desk.take(options.grant)))


def list_applications(options: Options) -> None:
    """Print the applications that wait, or all."""
    with _at_desk(options) as (desk, _):
        for made in desk.applications(waiting=not options.all):
            print(_application_line(made))


def decide(options: Options) -> None:
    """Approve or refuse an application."""
    with _at_desk(options) as (desk, _):
        decision = Decision(options.decision)
        made, grant = desk.decide(options.application, decision, options.answer)
        print(_application_line(made))
        if grant is not None:
            print(_line(grant))


def list_people(options: Options) -> None:
    """Print everybody who ever signed in."""
    with _at_desk(options) as (desk, _):
        for person in desk.people():
            closed = "  closed" if person.closed_at else ""
            print(
                f"person:{person.id}  {person.name}  {person.department or '-'}  "
                f"last seen {_text(person.seen_at)}{closed}"
            )


def close(options: Options) -> None:
    """Close the door to a person, or open it again."""
    with _at_desk(options) as (desk, _):
        own = options.person.removeprefix("person:")
        person = desk.close(own, closed=options.closed)
        print(f"person:{person.id} {person.name}: {'closed' if person.closed_at else 'open'}")


def _whoever() -> Caller:
    who = writer()
    return Caller(who.caller, who.name)


@contextmanager
def _at_desk(options: Options) -> Iterator[tuple[Desk, Store]]:
    with opened_store(settings_of(options)) as store:
        yield Desk(store.register, _whoever(), unbounded=True, origin="shell"), store


def _terms(options: Options) -> Terms:
    stated = {name: getattr(options, name, None) for name in NAMES}
    if options.area and options.area.startswith("@"):
        try:
            stated["area"] = Path(options.area[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise BadParameter(
                f"{options.area[1:]} can't be read; a file of WKT or GeoJSON"
            ) from None
    return read_terms(stated)


def _line(grant: Grant) -> str:
    more = f"  ({grant.terms.reason})" if grant.terms.reason else ""
    more += f"  taken back by {grant.taken_by}" if grant.taken_at else ""
    return f"{grant.id}  {grant.grantee}  {summary(grant.terms)}  by {grant.given_by}{more}"


def _application_line(made: Application) -> str:
    decided = f"  {made.decision} by {made.decided_by}" if made.decision else "  waits"
    return f"{made.id}  {made.applicant}  {summary(made.terms)}  ({made.terms.reason}){decided}"


def _text(instant: datetime | None) -> str:
    return "never" if instant is None else format_instant(instant)
