"""The archives of a collection's tiles, as files: for front-ends that read PMTiles themselves."""

from __future__ import annotations

import os
import re
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from layers.store import PublishedLayer
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.errors import RangeOutside
from services.links import address, link, self_links
from services.negotiation import (
    IMMUTABLE,
    JSON,
    VARY,
    check_format,
    has_etag,
    not_modified,
)
from services.openapi import operation
from services.pages import respond
from services.parameters import check_names
from services.routes.collections import find_layer
from tiles.errors import UnknownArchive
from tiles.keeping.archive_files import MEDIA_TYPE, OURS
from tiles.keeping.archive_reading import SAID, Archive
from tiles.keeping.archives import ENDING, Archives

_NUMBER = "[0-9]{1,15}"
_RANGE = re.compile(rf"bytes=(?:(?P<first>{_NUMBER})-(?P<last>{_NUMBER})?|-(?P<suffix>{_NUMBER}))")


async def tile_archives(request: Request) -> Response:
    """Answer the archives that there are of a collection for whoever asks."""
    check_format(request)
    check_names(request, ("f",))
    layer = await find_layer(request)
    found = await run_in_threadpool(_archives_of, request, layer)
    here = ("collections", layer.record.id, "tiles", "archives")
    document = {
        "links": self_links(request, JSON, *here),
        "archives": [_described(request, archive) for archive in found],
    }
    return respond(request, document, "tile_archives.html", layer=layer.record)


async def tile_archive(request: Request) -> Response:
    """Answer one archive as a file, whole or in part."""
    check_format(request, offered=())
    check_names(request, ())
    archive, told = await run_in_threadpool(_find, request)
    etag = f'"{archive.tag}"'
    cache = IMMUTABLE
    if not request.state.reader.is_anonymous:
        cache = cache.replace("public", "private")
    if has_etag(request, etag):
        return not_modified(request, etag, None, pinned=True)
    _check_range(request, told.st_size)
    headers = {"ETag": etag, "Cache-Control": cache, "Vary": VARY}
    return FileResponse(archive.path, 200, headers, MEDIA_TYPE, stat_result=told)


def _check_range(request: Request, size: int) -> None:
    """Refuse a range outside the file; of what is none, or is several, nothing is said (RFC 9110).

    Raises
    ------
    RangeOutside
    """
    header = request.headers.get("range")
    if header is None:
        return
    found = _RANGE.fullmatch(header.strip().lower())
    if found is None or (found["last"] and int(found["last"]) < int(found["first"])):
        others = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
        request.scope["headers"] = others
    elif (found["first"] and int(found["first"]) >= size) or found["suffix"] == "0":
        raise RangeOutside(f"Range: {header}: the file has {size} bytes")


def name_of(archive: Archive) -> str:
    """Return the name of an archive in addresses: of its bytes, so that it never has others."""
    return f"r{archive.state.revision}-{archive.tag[:16]}{ENDING}"


def _find(request: Request) -> tuple[Archive, os.stat_result]:
    admitted: Admitted = request.state.admitted
    layer = admitted.layer(request.path_params["collectionId"])
    name = request.path_params["archiveId"]
    for archive in _archives_of(request, layer):
        if name_of(archive) == name:
            admitted.note(layer, "tile-archive", restricted=False)
            try:
                return archive, archive.stat()
            except OSError:
                break
    raise UnknownArchive(f"{layer.record.id} has no archive {name!r}; .../tiles/archives lists all")


def _archives_of(request: Request, layer: PublishedLayer) -> list[Archive]:
    archives: Archives = request.app.state.archives
    return archives.of(layer.record.id, layer.sight.fingerprint)


def _described(request: Request, archive: Archive) -> dict[str, Any]:
    name, ours = name_of(archive), archive.told[OURS]
    href = address(request, "collections", archive.layer, "tiles", "archives", name)
    return {
        "id": name,
        "title": archive.told["name"],
        "bytes": archive.size,
        "tileType": archive.kind,
        **{key: ours[key] for key in SAID},
        "links": [link(href, "item", MEDIA_TYPE, archive.path.name)],
    }


_NAME = {
    "name": "archiveId",
    "in": "path",
    "required": True,
    "description": "Name of an archive of tiles, as the list has it · 瓦片归档名称",
    "schema": {"type": "string"},
}
_WANTED = {
    "name": "Range",
    "in": "header",
    "description": "The bytes wanted (RFC 9110): bytes=0-16383 · 所需字节范围",
    "schema": {"type": "string"},
}


def _file(described: dict[str, Any]) -> dict[str, Any]:
    """Return the operation of a file that is also answered in parts."""
    responses = described["responses"]
    described["parameters"] += [_NAME, _WANTED]
    responses["206"] = {**responses["200"], "description": "The bytes of the range · 部分内容"}
    return described


_HERE = "/collections/{collectionId}/tiles/archives"
DOORS = (
    Door(
        _HERE,
        "GET",
        tile_archives,
        operation(
            "getTileArchives",
            "Archives of tiles (PMTiles) · 瓦片归档",
            "tiles",
            parameters=("collectionId", "f"),
        ),
        rule=Rule.LAYER,
    ),
    Door(
        _HERE + "/{archiveId}",
        "GET",
        tile_archive,
        _file(
            operation(
                "getTileArchive",
                "One archive as a file, whole or by Range · 归档文件",
                "tiles",
                parameters=("collectionId",),
                media_types=(MEDIA_TYPE,),
                errors=(400, 401, 404, 406, 416, 422),
            )
        ),
        rule=Rule.LAYER,
    ),
)
