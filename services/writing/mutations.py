"""Changes of single features: what was seen of them, on which conditions, and the edits."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request

from layers.commits import Committed
from layers.edits import Edit, Edits, Insert, Put, Update
from layers.errors import FeatureChanged, FeatureGone, Forbidden, UnknownFeature
from layers.model import Document, Layer
from layers.permits import bounds_of, fields_kept
from layers.store import PublishedLayer, Snapshot
from layers.writers import Verb
from services.access.admission import Admitted
from services.errors import BadFeature, BadParameter, PreconditionFailed, PreconditionRequired
from services.parameters import check_names
from services.validators import Conditions
from services.writing.features import Current, Form, Stated, current_of, form_of
from services.writing.preferences import Preference, read_preference
from spatial.errors import SpatialError
from spatial.periods import parse_version_instant

STATEMENT = ("message", "document", "dry-run")
_VERSION_ID = re.compile(r"(.+)\.(\d{8}T\d{6}\.\d{6}Z)", re.DOTALL)
# A revision that touched what its caller does not see is no reason to refuse them: look again.
_TRIES = 5


@dataclass(frozen=True)
class Statement:
    """What is said of a change, and how its answer is to be.

    Attributes
    ----------
    dry_run : bool
        Whether to work everything out and write nothing.
    """

    message: str
    document: Document | None
    dry_run: bool
    preference: Preference


@dataclass(frozen=True)
class Seen:
    """One feature as its caller saw it."""

    snapshot: Snapshot
    row: sa.Row[Any]

    @property
    def id(self) -> str:
        """Of the feature."""
        return str(self.row._fid)

    @property
    def revision(self) -> int:
        """As of which it was seen."""
        return self.snapshot.moment.revision

    @property
    def properties(self) -> dict[str, Any]:
        """Those that are seen of it, with their values."""
        return self.snapshot.shown.properties(self.row)


@dataclass(frozen=True)
class Mutation:
    """A change of one layer by one request.

    Attributes
    ----------
    describe : callable
        Makes of a snapshot and a row the document that the caller reads.
    """

    admitted: Admitted
    layer: PublishedLayer
    conditions: Conditions
    statement: Statement
    describe: Callable[[Snapshot, sa.Row[Any]], Mapping[str, Any]]

    @property
    def record(self) -> Layer:
        """The layer's record."""
        return self.layer.record

    @property
    def form(self) -> Form:
        """What features of the layer are read against, in longitude and latitude."""
        return form_of(self.record, self.layer.reader)

    @property
    def not_theirs(self) -> frozenset[str]:
        """The fields that the caller may not state."""
        record, writer = self.record, self.admitted.caller.writer()
        return fields_kept(bounds_of(writer, record.id, record.department, Verb.EDIT), record)

    def see(self, feature_id: str, start: datetime | None = None) -> Seen:
        """Return a feature as it is now; where it is not there now, as it is at another instant.

        Raises
        ------
        FeatureGone, UnknownFeature
        """
        snapshot = self.layer.at().where(marked=True)
        try:
            return Seen(snapshot, snapshot.one(feature_id))
        except FeatureGone:
            if start is None:
                raise
        snapshot = self.layer.at(start).where(marked=True)
        return Seen(snapshot, snapshot.one(feature_id))

    def check(self, seen: Seen) -> None:
        """Hold the conditions against a feature.

        Raises
        ------
        PreconditionFailed
        PreconditionRequired
            Where the layer asks for one and there is none.
        """
        if self.record.schema.if_match and not self.conditions.pinned:
            raise PreconditionRequired(
                f"{self.record.id} takes no change that does not say of which state it is: send "
                "If-Match with the ETag of the feature as you read it"
            )
        self.conditions.check(seen.snapshot, seen.row)

    def current(self, seen: Seen) -> Current:
        """Return what a feature says now, as its caller reads it."""
        document = self.describe(seen.snapshot, seen.row)
        return current_of(document["properties"], seen.row._geom)

    def change(
        self, feature_id: str, start: datetime | None, build: Callable[[Seen], Edit]
    ) -> Committed:
        """Change one feature; looked at again where another has changed it meanwhile.

        Raises
        ------
        PreconditionFailed
            Where it is no more as the conditions say.
        """
        asked, tries = self, _TRIES
        while True:
            seen = asked.see(feature_id, start)
            asked.check(seen)
            try:
                return asked.commit(build(seen), seen)
            except FeatureChanged:
                tries -= 1
                if not tries:
                    raise
                layer = self.admitted.layer(self.record.id)
                asked = dataclasses.replace(self, layer=layer)

    def commit(self, edit: Edit, seen: Seen | None = None) -> Committed:
        """Commit an edit, on the condition that the feature is as it was seen."""
        expected = {}
        if seen is not None and self.conditions.pinned:
            expected = {seen.id: seen.revision}
            if not isinstance(edit, Insert) and edit.valid_from is None:
                # No version that begins until the layer is ours may be taken for the one seen.
                edit = dataclasses.replace(edit, valid_from=seen.snapshot.moment.now)
        edits = Edits([edit], expected=expected, forward=not self.record.schema.backdating)
        said = self.statement
        return self.admitted.commit(
            {self.record.id: edits}, said.message, document=said.document, dry_run=said.dry_run
        )


def read_statement(request: Request) -> Statement:
    """Read what is said of a change: ``message``, ``document``, ``dry-run``, and Prefer.

    Raises
    ------
    BadParameter
    """
    check_names(request, STATEMENT)
    query = request.query_params
    dry_run = query.get("dry-run", "false").lower()
    if dry_run not in ("true", "false"):
        raise BadParameter(f"dry-run={dry_run!r}: true or false")
    document = Document(query["document"]) if query.get("document") else None
    message = query.get("message", "")
    return Statement(message, document, dry_run == "true", read_preference(request))


def check_may_edit(admitted: Admitted, record: Layer) -> None:
    """Refuse whoever may edit nothing of a layer, before anything that they send is read.

    Raises
    ------
    Forbidden
    """
    caller = admitted.caller
    if not caller.writer().may(record.id, record.department, Verb.EDIT):
        raise Forbidden(
            f"{caller.name} may not edit {record.id}; apply for it, or ask an administrator"
        )


def insertion(stated: Stated) -> Insert:
    """Return the edit that makes a feature."""
    return Insert(stated.properties, stated.geometry, stated.start, stated.end, stated.id)


def replacement(mutation: Mutation, seen: Seen, stated: Stated, where: str = "/id") -> Put:
    """Return the edit that makes of a feature what was stated.

    What its writer does not see of it stays as it is, and so does what they only see, where they
    say it again as they read it.

    Raises
    ------
    BadFeature
        Where the body has another id.
    """
    _check_id(seen, stated, where)
    schema, again = seen.snapshot.schema, stated.again & mutation.not_theirs
    said = {name: value for name, value in stated.properties.items() if name not in again}
    unseen = {f.id for f in (*schema.stored, *schema.restricted)} - set(seen.properties)
    keep = frozenset((unseen | again) - set(said))
    return Put(said, stated.geometry, stated.start, stated.end, seen.id, keep)


def patch(seen: Seen, stated: Stated, where: str = "/id") -> Update:
    """Return the edit that changes some of a feature.

    Raises
    ------
    BadFeature
        Where the body has another id.
    """
    _check_id(seen, stated, where)
    return Update(seen.id, stated.properties, stated.geometry, stated.start, stated.end)


def split_version(text: str) -> tuple[str, datetime] | None:
    """Return the id and the start of which the id of a version is made; None of another text.

    >>> split_version("7.20140514T040000.000000Z")
    ('7', datetime.datetime(2014, 5, 14, 4, 0, tzinfo=datetime.timezone.utc))
    >>> split_version("7.a") is None
    True
    """
    match = _VERSION_ID.fullmatch(text)
    if match is None:
        return None
    try:
        return match[1], parse_version_instant(match[2])
    except SpatialError:
        return None


def check_open(seen: Seen, start: datetime) -> None:
    """Refuse a version that is not the one of now.

    Raises
    ------
    PreconditionFailed
    """
    if seen.row._valid_from != start:
        raise PreconditionFailed(
            f"{seen.id!r} of {seen.snapshot.layer.record.id} has another version since; nothing "
            "was written. Read it again"
        )


def exists(layer: PublishedLayer, feature_id: str) -> bool:
    """Return whether a feature of that id is, or was, or is going to be there for the caller."""
    try:
        layer.at().one(feature_id)
    except UnknownFeature:
        return False
    except FeatureGone:
        return True
    return True


def _check_id(seen: Seen, stated: Stated, where: str) -> None:
    if stated.id is not None and stated.id != seen.id:
        said = f"it is {stated.id[:100]!r}, and the feature is {seen.id!r}; leave it out"
        raise BadFeature((said, where))
