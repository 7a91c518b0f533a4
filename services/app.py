"""The application: the doors, the guest, the pages and who may pass, on one store."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from layers.store import Store
from services import assembly
from services.access.admission import Identifying
from services.access.fetching import Fetcher
from services.access.headers import Labelling, label_unexpected
from services.access.limiting import Guarding, Limiting
from services.access.oidc import Provider
from services.access.queues import FairQueue
from services.access.rates import Rates
from services.access.rules import rule_of
from services.attending import Attending
from services.compression import Compressing
from services.errors import UnruledRoute
from services.gate import Gate
from services.guest import GUEST_ROUTES
from services.hatch import Hatch
from services.problems import STATUS, answer_error, answer_http_error, problem
from services.remembering import Tags
from services.routes import (
    account,
    administration,
    change_dates,
    change_tiles,
    changes,
    collections,
    commits,
    counts,
    dataset_tiles,
    editing,
    faults,
    feature,
    functions,
    items,
    legends,
    lineage,
    login,
    map_tiles,
    matrix_sets,
    revisions,
    schemas,
    style_editing,
    styles,
    tags,
    tile_archives,
    tiles,
    tilesets,
    transactions,
    versions,
    wmts,
)
from services.settings import Settings
from services.tile_questions import schema_form
from tiles.keeping.archives import Archives
from tiles.keeping.cache import TileCache
from tiles.keeping.making import TileMaker
from tiles.keeping.shelf import Shelf

# What is asked most is looked for first; a feature's id may have slashes, so what stands below
# one comes before it; a collection's archives stand where else its tilesets do.
_READING = (items, versions, lineage, feature, tile_archives, tiles, map_tiles)


def create_app(store: Store, settings: Settings) -> FastAPI:
    """Return the ASGI application.

    Parameters
    ----------
    store : Store
        Open; the caller closes it.
    settings : Settings
        Of this installation.
    """
    rates = Rates(settings.rate, settings.failures)
    queue = FairQueue(settings.at_once, settings.each)
    app = FastAPI(
        title="Shikong",
        version=_version(),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(Labelling, settings=settings),
            Middleware(Compressing),
            Middleware(Guarding, rates=rates),
            Middleware(Identifying),
            Middleware(Limiting, queue=queue, rates=rates),
            Middleware(Attending),
            Middleware(Hatch, doors=[door for noun in _READING for door in noun.DOORS]),
        ],
    )
    app.state.store, app.state.settings = store, settings
    app.state.rates, app.state.provider = rates, _provider(settings)
    app.state.gate = Gate(store, rates, settings.tile_memory_bytes // 2)
    app.state.tags = Tags()
    app.state.archives = Archives(settings.data / "archives", schema_form)
    app.state.tiles = TileMaker(_tile_cache(settings), app.state.archives)
    # Whoever waits for one of these holds a place of the other queue: few may, and not for long.
    app.state.exports = FairQueue(settings.exports, max(1, settings.exports // 2), 2, 4, 5.0)
    app.include_router(revisions.router)
    app.include_router(commits.router)
    app.include_router(tags.router)
    others = (
        changes,
        change_tiles,
        change_dates,
        counts,
        editing,
        faults,
        transactions,
        styles,
        legends,
        style_editing,
    )
    described = (
        assembly,
        collections,
        schemas,
        functions,
        tilesets,
        dataset_tiles,
        matrix_sets,
        wmts,
    )
    people = (login, account, administration)
    nouns = (*_READING, *others, *described, *people)
    doors = itertools.chain(*(noun.DOORS for noun in nouns), GUEST_ROUTES)
    assembly.mount(app, doors)
    _check_rules(app)
    app.state.paths = frozenset(route.path for route in routes_of(app))
    web = str(files("services").joinpath("web"))
    app.mount("/static", FreshFiles(directory=web), name="static")
    for kind in STATUS:
        app.add_exception_handler(kind, answer_error)
    app.add_exception_handler(Exception, _answer_unexpected)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    return app


def _check_rules(app: FastAPI) -> None:
    """Serve no route of which nobody has said who may pass it."""
    for route in routes_of(app):
        if rule_of(route.endpoint) is None:
            raise UnruledRoute(f"{route.path} has no rule; see services/access/rules.py")


def routes_of(app: FastAPI) -> Iterator[Route]:
    """Yield every route of the application but the page's own files."""
    waiting: list[Any] = list(app.router.routes)
    while waiting:
        route = waiting.pop()
        if isinstance(route, Mount) and route.name == "static":
            continue
        router = getattr(route, "original_router", route)
        if router is not route:
            waiting += router.routes
        elif isinstance(route, Route):
            yield route
        else:
            raise UnruledRoute(f"{route!r} is no route that can have a rule")


def _tile_cache(settings: Settings) -> TileCache:
    shelf = None
    if settings.tile_disk_bytes:
        shelf = Shelf(settings.data / "tiles", settings.tile_disk_bytes)
    # The other half is the gate's.
    return TileCache(settings.tile_memory_bytes // 2, shelf)


def _provider(settings: Settings) -> Provider | None:
    if settings.oidc is None:
        return None
    return Provider(settings.oidc, Fetcher(settings.fetch_hosts))


class FreshFiles(StaticFiles):
    """The page's files, asked for anew each time: after an upgrade none is an old one."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Return a file, or 304 where the client has it."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    return label_unexpected(request, await answer_error(request, error))


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return problem(request, 400, f"{where}: {first['msg']}")


def _version() -> str:
    try:
        return version("shikong")
    except PackageNotFoundError:
        return "0"
