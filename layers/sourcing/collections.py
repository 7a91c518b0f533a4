"""Features of another server, OGC API or WFS: fetched page by page into a file of ours, then read.

How an address is asked is the caller's: this floor asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import orjson

from layers.errors import BadSource
from layers.sourcing.asked import Asked
from layers.sourcing.gdal import GdalSource
from layers.sourcing.places import Place

Fetch = Callable[[str], Mapping[str, Any]]
PAGE_ROWS = 1_000
_MOST_ROWS = 5_000_000
_LARGEST_BYTES = 8 << 30
_MOST_PAGES = 20_000
_MEMBERS = ("type", "id", "properties", "geometry")
_CRS84 = "urn:ogc:def:crs:OGC:1.3:CRS84"


@dataclass(frozen=True)
class CollectionSource(GdalSource):
    """What was fetched, under the name of where it came from."""

    shown: str = ""

    @property
    def name(self) -> str:
        """The address, without what was asked there."""
        return self.shown


@contextmanager
def opened_collection(
    address: str, fetch: Fetch, layer: str | None, say: Callable[[int], None] = lambda rows: None
) -> Iterator[CollectionSource]:
    """Fetch a collection; it is there to be published until the context ends.

    Parameters
    ----------
    address : str
        Of a collection (``.../collections/roads``), of a landing page, or of a WFS.
    fetch : callable
        From an address to the JSON there; it asks only whom it may.
    layer : str, optional
        The collection's id, or the feature type's name, where the address does not say it.

    Raises
    ------
    BadSource
        Where there is no such collection, its answers are no GeoJSON, or it is too large.
    """
    parts = urlsplit(address)
    if parts.username or parts.password:
        raise BadSource("the address carries a name or a password; leave them out")
    shown = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    pages = _wfs_pages if _is_wfs(address) else _collection_pages
    with TemporaryDirectory(prefix="shikong-source-") as folder:
        file = Path(folder) / "features.geojson"
        with file.open("wb") as out:
            rows = _keep(shown, pages(shown, address, fetch, layer), out, say)
        if not rows:
            raise BadSource(f"{shown} has no features; nothing was written")
        yield CollectionSource(Place(file), Asked(), shown=shown)


def _keep(
    shown: str, pages: Iterator[list[Any]], out: IO[bytes], say: Callable[[int], None]
) -> int:
    rows = 0
    out.write(b'{"type":"FeatureCollection","features":[\n')
    for number, page in enumerate(pages, 1):
        for feature in page:
            if not isinstance(feature, dict) or feature.get("type") != "Feature":
                raise BadSource(f"{shown} answers with something else than GeoJSON features")
            # Without what else stands beside: GDAL takes some of it for another format.
            plain = {name: feature.get(name) for name in _MEMBERS if name in feature}
            out.write((b",\n" if rows else b"") + orjson.dumps(plain))
            rows += 1
        if rows > _MOST_ROWS or out.tell() > _LARGEST_BYTES or number > _MOST_PAGES:
            raise BadSource(
                f"{shown} has more than can be fetched ({rows:,} features so far); ask its owner "
                "for a file"
            )
        say(rows)
    out.write(b"\n]}\n")
    return rows


def _is_wfs(address: str) -> bool:
    asked = {name.lower(): value.lower() for name, value in parse_qsl(urlsplit(address).query)}
    return asked.get("service") == "wfs" or urlsplit(address).path.lower().endswith("/wfs")


def _collection_pages(
    shown: str, address: str, fetch: Fetch, layer: str | None
) -> Iterator[list[Any]]:
    items: str | None = _items_address(shown, address, fetch, layer)
    seen: set[str] = set()
    while items is not None:
        if items in seen:
            raise BadSource(f"{shown} leads from page to page in a circle")
        seen.add(items)
        document = fetch(items)
        yield _features(shown, document)
        items = _next(items, document)


def _items_address(shown: str, address: str, fetch: Fetch, layer: str | None) -> str:
    base = urlsplit(address)
    path = base.path.rstrip("/")
    if path.endswith("/items"):
        return _with_query(address, limit=str(PAGE_ROWS), f="json")
    if "/collections/" not in path:
        path = path.removesuffix("/collections")
        if layer is None:
            raise BadSource(_ask_which(shown, _ids(shown, fetch, base, path)))
        path = f"{path}/collections/{layer}"
    plain = urlunsplit((base.scheme, base.netloc, f"{path}/items", base.query, ""))
    return _with_query(plain, limit=str(PAGE_ROWS), f="json")


def _ids(shown: str, fetch: Fetch, base: Any, path: str) -> list[str]:
    where = urlunsplit((base.scheme, base.netloc, f"{path}/collections", "f=json", ""))
    listed = fetch(where).get("collections")
    if not isinstance(listed, list):
        raise BadSource(f"{shown} is no OGC API Features: it lists no collections")
    return [str(one.get("id")) for one in listed if isinstance(one, dict)]


def _ask_which(shown: str, names: list[str]) -> str:
    return f"{shown} has several collections; say which by --source-layer: {', '.join(names[:50])}"


def _wfs_pages(shown: str, address: str, fetch: Fetch, layer: str | None) -> Iterator[list[Any]]:
    stated = {name.lower(): value for name, value in parse_qsl(urlsplit(address).query)}
    layer = layer or stated.get("typenames") or stated.get("typename")
    if layer is None:
        raise BadSource(f"{shown}: say which feature type by --source-layer")
    first: list[Any] | None = None
    start = 0
    while True:
        page = _with_query(
            urlunsplit((*urlsplit(address)[:3], "", "")),
            service="WFS",
            version="2.0.0",
            request="GetFeature",
            typeNames=layer,
            outputFormat="application/json",
            srsName=_CRS84,
            startIndex=str(start),
            count=str(PAGE_ROWS),
        )
        found = _features(shown, fetch(page))
        if found and found == first:
            raise BadSource(f"{shown} gives the same page again: it knows no paging")
        first = first or found
        if not found:
            return
        yield found
        start += len(found)
        if len(found) < PAGE_ROWS:
            return


def _features(shown: str, document: Mapping[str, Any]) -> list[Any]:
    features = document.get("features")
    if not isinstance(features, list):
        raise BadSource(f"{shown} answers with JSON that is no GeoJSON collection")
    _check_system(shown, document)
    return features


def _check_system(shown: str, document: Mapping[str, Any]) -> None:
    """GeoJSON is in longitude and latitude, but for servers that say otherwise in the old way."""
    stated = document.get("crs")
    name = (stated.get("properties") or {}).get("name") if isinstance(stated, dict) else None
    if name is not None and not str(name).upper().endswith(("CRS84", "EPSG::4326", "EPSG:4326")):
        raise BadSource(f"{shown} answers in {name}; it does not know CRS84: ask for a file")


def _next(here: str, document: Mapping[str, Any]) -> str | None:
    links = document.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "next" and link.get("href"):
            return urljoin(here, str(link["href"]))
    return None


def _with_query(address: str, **asked: str) -> str:
    parts = urlsplit(address)
    kept = [(n, v) for n, v in parse_qsl(parts.query) if n.lower() not in map(str.lower, asked)]
    return urlunsplit((*parts[:3], urlencode([*kept, *asked.items()]), ""))
