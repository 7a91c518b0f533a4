"""Transactions (draft OGC API Features Part 11): actions on several collections, in one commit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.commits import Committed
from layers.edits import Edit, Edits, Retire
from layers.errors import BadQuery, FeatureChanged
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadFeature, BadParameter, PreconditionRequired
from services.links import address
from services.negotiation import JSON
from services.openapi import change
from services.routes.editing import describe, find_crs
from services.validators import Conditions
from services.writing.actions import MOST_FEATURES, TRANSACTION, Action, Kind, read_actions
from services.writing.bodies import pointer, read_json
from services.writing.features import Form, form_of, read_feature, read_patch
from services.writing.mutations import (
    STATEMENT,
    Mutation,
    Seen,
    Statement,
    check_may_edit,
    check_open,
    exists,
    insertion,
    patch,
    read_statement,
    replacement,
    split_version,
)
from spatial.errors import SpatialError
from spatial.periods import parse_instant

TRANSACTION_TYPES = ("application/ogc-tx+json", JSON)
LARGEST_BODY = 32 << 20
_TRIES = 5
_NO_STORE = {"Cache-Control": "no-store"}
_DONE = {
    Kind.INSERT: "Inserted",
    Kind.REPLACE: "Replaced",
    Kind.UPDATE: "Updated",
    Kind.DELETE: "Deleted",
}


async def transact(request: Request) -> Response:
    """Do all of some actions, or nothing."""
    statement = read_statement(request)
    if statement.preference.handling == "lenient":
        raise BadParameter(
            "Prefer: handling=lenient is not offered: a transaction is done as a whole or not at "
            "all; leave it out, or send each action by itself"
        )
    document = await read_json(request, TRANSACTION_TYPES, LARGEST_BODY)
    return await run_in_threadpool(_transact, request, statement, document)


def _transact(request: Request, statement: Statement, document: Any) -> Response:
    actions = read_actions(document)
    statement = dataclasses.replace(statement, message=_message(statement, document))
    tries = _TRIES
    while True:
        work = _Work(request, statement)
        for action in actions:
            work.add(action)
        try:
            return _answer(request, work, actions, work.commit())
        except FeatureChanged:
            # What was expected may still be so for its sender, who does not see all; and which
            # features a filter selects is to be told of the revision that is changed: look again.
            tries -= 1
            if not tries:
                raise


@dataclass
class _Work:
    """What a transaction comes to, layer by layer."""

    request: Request
    statement: Statement
    mutations: dict[str, tuple[Mutation, Form]] = field(default_factory=dict)
    edits: dict[str, list[Edit]] = field(default_factory=dict)
    expected: dict[str, dict[str, int]] = field(default_factory=dict)
    owners: dict[str, list[int]] = field(default_factory=dict)
    looked: dict[str, int] = field(default_factory=dict)
    selected: int = 0

    @property
    def admitted(self) -> Admitted:
        """The caller's way to the store."""
        found: Admitted = self.request.state.admitted
        return found

    def add(self, action: Action) -> None:
        """Work out the edits of an action."""
        mutation, form = self._layer(action.collection)
        made: list[Edit] = []
        if action.kind is Kind.INSERT:
            for body, path in action.bodies:
                made.append(insertion(read_feature(body, form.at(*path))))
        else:
            start = _start(action, form)
            chosen = self._chosen(action, mutation, start)
            made += [self._edit(action, mutation, form, seen, start) for seen in chosen]
        self.selected += len(made)
        self.edits[action.collection] += made
        self.owners[action.collection] += [action.number] * len(made)

    def commit(self) -> Committed:
        """Commit all, on the condition that what was expected is still so."""
        changes = {}
        for layer, edits in self.edits.items():
            backdating = self.mutations[layer][0].record.schema.backdating
            changes[layer] = Edits(
                edits,
                expected=self.expected[layer],
                forward=not backdating,
                as_of=self.looked.get(layer),
            )
        said = self.statement
        return self.admitted.commit(
            changes, said.message, document=said.document, dry_run=said.dry_run
        )

    def _layer(self, name: str) -> tuple[Mutation, Form]:
        if name not in self.mutations:
            layer = self.admitted.layer(name)
            check_may_edit(self.admitted, layer.record)
            self.admitted.note(layer, "edit")
            mutation = Mutation(self.admitted, layer, Conditions(), self.statement, describe)
            form = form_of(layer.record, layer.reader, find_crs(self.request, layer))
            self.mutations[name] = mutation, form
            self.edits[name], self.expected[name], self.owners[name] = [], {}, []
        return self.mutations[name]

    def _chosen(self, action: Action, mutation: Mutation, start: datetime | None) -> Iterable[Seen]:
        """The features that an action is about, as its sender sees them."""
        if action.selection.filter is None:
            return (self._see(mutation, text, start) for text in action.selection.ids)
        return self._matching(action, mutation, start)

    def _matching(
        self, action: Action, mutation: Mutation, start: datetime | None
    ) -> Sequence[Seen]:
        """Those of which a filter holds, as they are now or when the action begins."""
        record, chosen = mutation.record, action.selection
        where = pointer("transaction", action.number, "filter")
        if record.schema.if_match:
            raise PreconditionRequired(
                f"{record.id} takes no change that does not say of which state it is, and a filter "
                "says none: name the versions"
            )
        left = MOST_FEATURES - self.selected
        whole = mutation.layer.at(start)
        asked = whole.where(filter=chosen.filter, filter_crs=chosen.crs, limit=left + 1)
        try:
            rows = asked.rows()
        except BadQuery as error:
            raise BadFeature((str(error), where)) from None
        if len(rows) > left:
            said = f"it selects too many: at most {MOST_FEATURES} features a transaction; narrow it"
            raise BadFeature((said, where))
        if action.kind is Kind.REPLACE and len(rows) > 1:
            raise BadFeature((f"a feature replaces one, and it selects {len(rows)}", where))
        self.looked[record.id] = asked.moment.revision
        return [Seen(asked, row) for row in rows]

    def _edit(
        self, action: Action, mutation: Mutation, form: Form, seen: Seen, start: datetime | None
    ) -> Edit:
        if action.kind is Kind.DELETE:
            return Retire(seen.id, start)
        [(body, path)] = action.bodies
        current, own = mutation.current(seen), form.at(*path)
        if action.kind is Kind.REPLACE:
            stated = read_feature(body, own, current)
            return replacement(mutation, seen, stated, pointer(*path, "id"))
        try:
            edit = patch(seen, read_patch(body, own, current))
        except BadFeature as error:
            raise action.relocate(error) from None
        return dataclasses.replace(edit, valid_from=start)

    def _see(self, mutation: Mutation, text: str, start: datetime | None) -> Seen:
        """The feature that an id names; of a version's own id, where it is still the one of now."""
        version = split_version(text)
        if version is None or exists(mutation.layer, text):
            if mutation.record.schema.if_match:
                raise PreconditionRequired(
                    f"{mutation.record.id} takes no change that does not say of which state it is: "
                    f"name the version, such as {text}.20140514T040000.000000Z"
                )
            return mutation.see(text, start)
        seen = mutation.see(version[0])
        check_open(seen, version[1])
        self.expected[mutation.record.id][seen.id] = seen.revision
        return seen


def _start(action: Action, form: Form) -> datetime | None:
    if action.datetime is None:
        return None
    try:
        return parse_instant(action.datetime, form.zone)
    except SpatialError as error:
        where = pointer("transaction", action.number, "datetime")
        raise BadFeature((str(error), where)) from None


def _message(statement: Statement, document: Mapping[str, Any]) -> str:
    """What is said of it: by the parameter, or else by the transaction's own members."""
    told = (document.get(name) for name in ("title", "description"))
    return statement.message or ": ".join(text for text in told if isinstance(text, str) and text)


def _answer(request: Request, work: _Work, actions: Sequence[Action], done: Committed) -> Response:
    features: dict[int, list[str]] = {action.number: [] for action in actions}
    for layer, owners in work.owners.items():
        for number, key in zip(owners, done.reports[layer].named, strict=True):
            features[number].append(address(request, "collections", layer, "items", key))
    document: dict[str, Any] = {"semantic": "atomic", "dry_run": work.statement.dry_run}
    document["commit"] = done.commit
    document["revisions"] = {i: r.revision for i, r in done.reports.items() if r.revision}
    document["summary"] = {
        f"total{word}": sum(len(features[a.number]) for a in actions if a.kind is kind)
        for kind, word in _DONE.items()
    }
    preference = work.statement.preference
    if preference.content != "minimal":
        for kind in _DONE:
            found = [href for a in actions if a.kind is kind for href in features[a.number]]
            document[f"{kind}Results"] = found
        document["actions"] = [
            {
                "id": a.name,
                "action": a.kind,
                "collection": a.collection,
                "features": features[a.number],
            }
            for a in actions
        ]
    headers = _NO_STORE | preference.applied
    if preference.content == "none":
        return Response(None, 204, headers)
    return Response(orjson.dumps(document), 200, headers, JSON)


_PART_11 = "http://www.opengis.net/spec/ogcapi-features-11/1.0/conf/"
# The draft names the class of atomic ones in two ways.
_CLASSES = ("transactions", "atomic-semantics", "atomic-transactions", "features")
DOORS = (
    Door(
        "/transactions",
        "POST",
        transact,
        change(
            "executeTransaction",
            "Actions on several collections, all or nothing · 事务",
            parameters=(*STATEMENT, "Content-Crs", "Prefer"),
            body=TRANSACTION_TYPES,
            done=(200, 204),
            schema=TRANSACTION,
        ),
        tuple(f"{_PART_11}{name}" for name in _CLASSES),
        rule=Rule.WRITE,
    ),
)
