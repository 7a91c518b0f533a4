"""Features of a collection: a page of them, one of them, and the versions of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.reading.kept import Rows
from layers.store import Snapshot
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.feature_documents import feature_document, feature_documents
from services.formats import ITEMS, Format, json_fg
from services.links import address, base_url, format_links, link, said_again
from services.memento import original_link
from services.negotiation import (
    GEOJSON,
    JSON,
    as_json,
    choose_format,
    has_etag,
    make_etag,
    not_modified,
)
from services.openapi import operation
from services.pages import respond
from services.paging import Token, page_limit, write_token
from services.parameters import write_datetime
from services.profiles import Profile, as_profile, rows_of_page
from services.queries import OWN, Asked, read_query
from services.routes.exports import export
from spatial.periods import format_instant

# Characters of a filter that is read while others wait.
_SHORT = 500
_CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


@dataclass(frozen=True)
class Page:
    """What was asked of a collection, and the rows that were found.

    Attributes
    ----------
    rows : sequence of tuple or Row
        One more than the limit where there are more.
    plain : Rows or None
        The same, where they are plain tuples and become GeoJSON, a feature each.
    """

    asked: Asked
    chosen: Format
    limit: int
    note: str | None
    rows: Sequence[Any]
    plain: Rows | None
    matched: int | None

    @property
    def more(self) -> bool:
        """Whether there are rows beyond the page, in the direction in which it was read."""
        return len(self.rows) > len(self.shown)

    @property
    def shown(self) -> Sequence[Any]:
        """The rows of the page; one more was read to know whether there are others."""
        return self._paged[1]

    @cached_property
    def _paged(self) -> tuple[Profile, Sequence[Any]]:
        asked = self.asked
        if asked.backwards:
            # What has slices begins with its first version, which may lie further back.
            return asked.profile.flat, self.rows[-self.limit :]
        profile = asked.profile if asked.several else Profile.UNIQUE_IDS
        if asked.snapshot.query.sort:
            profile = profile.flat
        return rows_of_page(profile, self.rows, self.limit)

    def features(self, request: Request) -> tuple[Profile, list[dict[str, Any]]]:
        """Return the features of the page, and the profile in which they are."""
        asked = self.asked
        profile, shown = self._paged
        if self.plain is not None:
            rows = Rows(self.plain.columns, shown)
            return profile, feature_documents(rows, asked.snapshot.chosen)

        def write(row: sa.Row[Any], unique: bool) -> dict[str, Any]:
            document = feature_document(asked.snapshot, row, unique)
            if unique:
                original = original_link(request, asked.layer.record.id, row._fid, None)
                document["links"] = [original]
            if self.chosen.name == "jsonfg":
                document = json_fg.feature(document, row)
            return document

        if not asked.several:
            return profile, [write(row, False) for row in shown]
        return as_profile(profile, shown, write)

    def key(self, row: Any) -> tuple[Any, ...]:
        """Return the key of a row, after or before which another page begins."""
        names = (*self.asked.snapshot.order.names, "_fid", "_valid_from")
        if self.plain is None:
            return tuple(row._mapping[name] for name in names)
        return tuple(row[self.plain.at(name)] for name in names)


async def items(request: Request) -> Response:
    """Answer a page of features, or all of them as a stream."""
    chosen = choose_format(request, ITEMS)
    if chosen.write is not None:
        asked = await run_in_threadpool(_ask, request, "export")
        return await _export(request, asked, chosen)
    answer = await _answer_soon(request, chosen)
    return await run_in_threadpool(_answer, request, chosen) if answer is None else answer


async def _answer_soon(request: Request, chosen: Format) -> Response | None:
    """Answer what is at hand, or what one statement tells; None where a thread must wait for it."""
    admitted: Admitted = request.state.admitted
    layer = admitted.known_layer(request.path_params["collectionId"])
    if layer is None or not layer.knows_present or admitted.notes(layer):
        return None
    if "recorded" in request.query_params or "commit" in request.query_params:
        return None
    if "filter" in request.query_params and not _may_be_unchanged(request):
        return None
    asked = read_query(request, layer)
    known = _validator(request, asked, chosen)
    if known is not None and has_etag(request, known):
        return not_modified(request, known, _headers(asked), pinned=asked.pinned)
    if chosen.name != "json" or asked.several:
        return None
    number = layer.counted(asked.all_pages) if asked.count else None
    if asked.count and number is None:
        return None
    if asked.is_whole and not layer.knows_count(asked.snapshot.moment):
        return None
    limit, note = page_limit(asked.limit)
    found = await asked.snapshot.where(limit=limit + 1).page_soon(asked.crs)
    if found is None:
        return None
    matched = _matched(asked, len(found), limit) if number is None else number
    return _tell(request, Page(asked, chosen, limit, note, found.rows, found, matched), known)


def _may_be_unchanged(request: Request) -> bool:
    """Whether a filter is worth reading here: no statement is kept for it, and it takes a while."""
    return "if-none-match" in request.headers and len(request.query_params["filter"]) < _SHORT


def _answer(request: Request, chosen: Format) -> Response:
    asked = _ask(request, "items")
    known = _validator(request, asked, chosen)
    if known is not None and has_etag(request, known):
        return not_modified(request, known, _headers(asked), pinned=asked.pinned)
    return _tell(request, _read_page(asked, chosen), known)


def _tell(request: Request, page: Page, known: str | None) -> Response:
    """Answer with a page that was read, and its tag where that was known before."""
    asked = page.asked
    profile, document = _page_document(request, page)
    headers = _headers(asked)
    if asked.several:
        headers["Link"] = profile.link
    stable = None
    if not asked.steady:
        # The answer says which instant was now; that alone makes it no other answer.
        stable = as_json(document | {"datetime": None, "links": []})
    return respond(
        request,
        document,
        "items.html",
        media_type=page.chosen.media_type,
        as_page=page.chosen.name == "html",
        headers=headers,
        pinned=asked.pinned,
        stable=stable,
        etag=known,
        layer=asked.layer.record,
        fields=asked.snapshot.chosen.every,
    )


async def _export(request: Request, asked: Asked, chosen: Format) -> Response:
    """All that there is, unless a limit is asked."""
    snapshot, crs = asked.snapshot.where(limit=asked.limit), asked.crs
    own = None if "crs" not in request.query_params else crs
    return await export(request, snapshot, chosen, own, asked.layer.record.id, pinned=asked.pinned)


def _ask(request: Request, what: str) -> Asked:
    admitted: Admitted = request.state.admitted
    layer = admitted.layer(request.path_params["collectionId"])
    admitted.note(layer, what)
    return read_query(request, layer)


def _validator(request: Request, asked: Asked, chosen: Format) -> str | None:
    """The tag of an answer that can be told before it is made; None where it can't."""
    layer = asked.layer
    if chosen.name == "html" or not asked.steady or layer.reader.may_see_restricted(layer.record):
        return None
    moment, scope = asked.snapshot.moment, request.scope
    told = (
        layer.record.id,
        str(moment.revision),
        write_datetime(moment.when),
        "" if asked.pinned else format_instant(moment.now),
        layer.sight.fingerprint,
        chosen.name,
        base_url(request),
        request.app.version,
        scope["query_string"].decode("latin-1"),
    )
    return make_etag("\n".join(told).encode())


def _read_page(asked: Asked, chosen: Format) -> Page:
    limit, note = page_limit(asked.limit)
    snapshot = asked.snapshot.where(limit=limit + 1)
    plain = snapshot.page(asked.crs) if chosen.name == "json" and not asked.several else None
    rows: Sequence[Any]
    if plain is not None:
        rows = plain.rows
    elif chosen.name == "jsonfg":
        rows = json_fg.read_rows(snapshot, asked.place)
    else:
        rows = snapshot.rows(asked.crs)
    if asked.count:
        matched: int | None = asked.layer.count(asked.all_pages)
    else:
        matched = _matched(asked, len(rows), limit)
    return Page(asked, chosen, limit, note, rows, plain, matched)


def _matched(asked: Asked, found: int, limit: int) -> int | None:
    """How many features there are, where to know it costs nothing."""
    if not asked.paged and found <= limit:
        return found
    return asked.layer.known_count(asked.snapshot.moment) if asked.is_whole else None


def _page_document(request: Request, page: Page) -> tuple[Profile, dict[str, Any]]:
    asked = page.asked
    profile, features = page.features(request)
    snapshot, layer = asked.snapshot, asked.layer.record
    document: dict[str, Any] = {
        "type": "FeatureCollection",
        "features": features,
        "numberMatched": page.matched,
        "numberReturned": len(features),
        "collection": layer.id,
        "revision": snapshot.moment.revision,
        "datetime": write_datetime(snapshot.moment.when),
        "synthetic": layer.schema.synthetic,
        "links": _page_links(request, page),
    }
    # Versions are counted; how many features have slices is not known before all are read.
    if page.matched is None or profile is Profile.TIME_SLICES:
        del document["numberMatched"]
    if page.note is not None:
        document["notes"] = [page.note]
    if page.chosen.name == "jsonfg":
        document = json_fg.root(document, snapshot, asked.place)
    return profile, document


def _page_links(request: Request, page: Page) -> list[dict[str, str]]:
    segments = ("collections", page.asked.layer.record.id, "items")
    links = format_links(request, ITEMS, page.chosen, *segments)
    links.append(link(address(request, *segments[:2]), "collection", JSON, "The collection"))
    backwards = page.asked.backwards
    if page.shown and (page.more or backwards):
        href = _beside(request, page, page.shown[-1], backwards=False)
        links.append(link(href, "next", page.chosen.link_type, "The next page · 下一页"))
    if page.shown and (page.more if backwards else page.asked.paged):
        href = _beside(request, page, page.shown[0], backwards=True)
        links.append(link(href, "prev", page.chosen.link_type, "The page before · 上一页"))
    return links


def _beside(request: Request, page: Page, row: Any, *, backwards: bool) -> str:
    """The address of the page after a row, or before it, with both axes pinned."""
    moment = page.asked.snapshot.moment
    pinned = {
        "revision": str(moment.revision),
        "datetime": write_datetime(moment.when),
        "token": write_token(Token(moment.revision, moment.when, backwards, page.key(row))),
    }
    query = said_again(request, {"recorded", "commit", "offset", *pinned}, pinned)
    return address(request, "collections", page.asked.layer.record.id, "items") + query


def _headers(asked: Asked) -> dict[str, str]:
    return _pinned_to(asked.snapshot, asked.crs_uri)


def _pinned_to(snapshot: Snapshot, system: str = _CRS84) -> dict[str, str]:
    return {"Content-Crs": f"<{system}>", "Content-Revision": str(snapshot.moment.revision)}


_OGC = "http://www.opengis.net/spec/"
_PARTS: Mapping[str, tuple[str, ...]] = {
    "ogcapi-features-1/1.0": ("core", "geojson", "html", "oas30"),
    "ogcapi-features-2/1.0": ("crs",),
    "ogcapi-features-3/1.0": ("filter", "features-filter"),
    "ogcapi-features-6/1.0": ("properties", "properties-features"),
    "ogcapi-features-8/1.0": ("sortables", "sorting", "features-sorting"),
    "json-fg-1/1.0": ("core", "types-schemas"),
    "cql2/1.0": (
        "cql2-text",
        "cql2-json",
        "basic-cql2",
        "advanced-comparison-operators",
        "case-insensitive-comparison",
        "accent-insensitive-comparison",
        "basic-spatial-functions",
        "basic-spatial-functions-plus",
        "spatial-functions",
        "temporal-functions",
        "array-functions",
        "property-property",
        "functions",
        "arithmetic",
    ),
}
_SCHEMA: Mapping[str, Any] = {"$ref": "#/components/schemas/FeatureCollection"}
_TYPES = (GEOJSON, "text/html")
_MEDIA_TYPES = tuple(dict.fromkeys(found.media_type.partition(";")[0] for found in ITEMS))
DOORS = (
    Door(
        "/collections/{collectionId}/items",
        "GET",
        items,
        operation(
            "getFeatures",
            "Features of a collection · 要素",
            "features",
            parameters=("collectionId", *(n for n in OWN if n != "f"), "property", "f-items"),
            media_types=_MEDIA_TYPES,
            schema=_SCHEMA,
        ),
        tuple(f"{_OGC}{part}/conf/{name}" for part, names in _PARTS.items() for name in names),
        rule=Rule.LAYER,
    ),
)
