"""The guest: processes listed, described and run, as the reader and within bounds."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from layers import catalog
from layers.access.policy import ANONYMOUS
from layers.model import Visibility
from layers.readers import Reader, View
from layers.store import Store
from services.access.admission import Admitted
from services.assignments import assign_cases
from services.guest import GUEST_ROUTES, process_document, processes_document
from services.guest.case_grids import CaseGridsProcessor
from services.guest.configuration import PROCESSES, guest_api
from services.guest.routes import LARGEST_BODY
from services.guest.session import NotAdmitted, Session, admitted, current_session
from services.problems import STATUS, answer_error, answer_http_error
from services.settings import Settings

ANYONE = Reader.anonymous()
PROCESS = "/processes/assign-cases-to-grids"
EXECUTION = f"{PROCESS}/execution"
EXCEPTION = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
JULY = "2023-07-01/2023-08-01"


def way_of(store: Store, reader: Reader) -> Admitted:
    return Admitted(ANONYMOUS, reader, "", "", store)


def client_of(store: Store, settings: Settings, reader: Reader = ANYONE) -> TestClient:
    """A client on the guest's doors alone, for one reader."""

    async def be(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        request.state.reader, request.state.admitted = reader, way_of(store, reader)
        request.state.who, request.state.csrf = ANONYMOUS, ""
        return await call_next(request)

    app = Starlette(
        routes=[Route(d.path, d.handler, methods=[d.method]) for d in GUEST_ROUTES],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=be)],
        exception_handlers={
            **dict.fromkeys((*STATUS, Exception), answer_error),
            HTTPException: answer_http_error,
        },
    )
    app.state.store, app.state.settings = store, settings
    return TestClient(app, raise_server_exceptions=False, headers={"Accept-Encoding": "identity"})


@pytest.fixture(scope="module")
def guest(demo_store: Store, settings: Settings) -> TestClient:
    return client_of(demo_store, settings)


def run(client: TestClient, **inputs: Any) -> dict[str, Any]:
    answer = client.post(EXECUTION, json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


# What there is


def test_the_list_names_the_process_and_only_what_it_can(guest: TestClient) -> None:
    document = guest.get("/processes").json()
    (process,) = document["processes"]
    assert process["id"] == "assign-cases-to-grids"
    assert process["jobControlOptions"] == ["sync-execute"]
    assert process["outputTransmission"] == ["value"]
    assert [link["rel"] for link in document["links"]] == ["self", "alternate"]
    every = document["links"] + process["links"]
    assert not [link for link in every if "job" in link["rel"] or "ld+json" in link["type"]]


def test_every_link_of_the_documents_leads_somewhere(guest: TestClient) -> None:
    for start in ("/processes", PROCESS):
        for link in guest.get(start).json()["links"]:
            method = guest.post if link["rel"].endswith("/execute") else guest.get
            options = {"json": {"inputs": {"datetime": JULY}}} if method == guest.post else {}
            answer = method(link["href"], **options)
            assert answer.status_code == 200, link
            assert answer.headers["content-type"].startswith(link["type"])


def test_the_description_has_a_schema_of_every_input_and_output(guest: TestClient) -> None:
    document = guest.get(PROCESS).json()
    assert {"id", "version", "title", "description"} <= set(document)
    described = {**document["inputs"], **document["outputs"]}
    assert {"cases", "grids", "datetime", "tolerance_m", "assignment"} <= set(described)
    for name, said in described.items():
        assert said["title"], name
        assert said["schema"].keys() & {"type", "oneOf"}, name
    assert document["inputs"]["cases"]["schema"]["default"] == "incidents"


def test_the_output_is_as_described(guest: TestClient) -> None:
    schema = guest.get(PROCESS).json()["outputs"]["assignment"]["schema"]
    document = run(guest, datetime=JULY, tolerance_m=50)
    assert set(document) == set(schema["properties"])
    for table in ("summary", "assignments"):
        assert set(document[table][0]) == set(schema["properties"][table]["items"]["properties"])


def test_the_example_of_the_description_runs(guest: TestClient) -> None:
    example = guest.get(PROCESS).json()["example"]
    assert guest.post(EXECUTION, json=example).json()["cases"] > 0


@pytest.mark.parametrize(
    ("query", "header", "title"),
    [
        ("", "", "Assign cases to grids"),
        ("?lang=zh", "en", "案件归格"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "案件归格"),
        ("", "fr, en;q=0.2, zh;q=0.1", "Assign cases to grids"),
        ("", "*;q=,,;;zh;q=x", "Assign cases to grids"),
    ],
)
def test_the_language_is_the_one_asked_for(guest: TestClient, query, header, title) -> None:
    answer = guest.get(PROCESS + query, headers={"Accept-Language": header})
    assert answer.json()["title"] == title
    assert "Accept-Language" in answer.headers["Vary"]
    assert answer.headers["Content-Language"] == ("zh" if title == "案件归格" else "en")


def test_pages_are_ours_and_take_nothing_from_elsewhere(guest: TestClient, browser) -> None:
    for path in ("/processes", PROCESS, "/processes/nope", "/jobs/nope"):
        answer = guest.get(path, headers=browser)
        assert answer.headers["content-type"].startswith("text/html")
        assert "cdn" not in answer.text.lower()
        assert "pygeoapi" not in answer.text.lower()


def test_no_class_of_processes_is_declared(client: TestClient) -> None:
    # Each includes its core, which demands that references in inputs are fetched
    said = client.get("/conformance").json()["conformsTo"]
    assert not [c for c in said if "ogcapi-processes" in c]
    assert not [c for door in GUEST_ROUTES for c in door.conformance]


def test_the_application_serves_and_describes_the_doors(client: TestClient) -> None:
    paths = client.get("/api").json()["paths"]
    for door in GUEST_ROUTES:
        assert door.method.lower() in paths[door.path]
        named = {p["name"] for p in door.operation["parameters"] if p.get("in") == "path"}
        assert {f"{{{name}}}" in door.path for name in named} <= {True}
    assert run(client, datetime=JULY, list_cases=False)["cases"] > 0


# Execution


def test_the_process_answers_what_the_function_finds(guest: TestClient, demo_store: Store) -> None:
    document = run(guest, datetime=JULY, tolerance_m=50)
    found = assign_cases(
        demo_store, ANYONE, cases="incidents", grids="grids", datetime=JULY, tolerance_m=50
    )
    assert document["cases"] == found.cases
    assert document["systems"] == list(found.systems)
    assert document["totals"] == dict(found.totals)
    assert (document["cases_revision"], document["grids_revision"]) == (1, 4)
    assert document["datetime"] == "2023-07-01T04:00:00Z/2023-08-01T04:00:00Z"
    assert [row["count"] for row in document["summary"]] == found.summary["count"].tolist()
    rows = found.assignments
    for name in ("case", "grid_type", "status", "candidates"):
        assert [row[name] for row in document["assignments"]] == rows[name].tolist()
    codes = rows["grid_code"].tolist()
    assert [row["grid_code"] for row in document["assignments"]] == codes
    first = document["assignments"][0]["reported_at"]
    assert datetime.fromisoformat(first) == rows["reported_at"].iloc[0]


def test_every_case_appears_once_in_each_system(guest: TestClient) -> None:
    document = run(guest)
    assert document["cases"] == 10_000
    assert len(document["assignments"]) == 30_000
    pairs = {(row["case"], row["grid_type"]) for row in document["assignments"]}
    assert len(pairs) == 30_000
    assert sum(row["count"] for row in document["summary"]) == 30_000


def test_what_is_unassigned_says_why_and_has_no_distance(guest: TestClient) -> None:
    rows = run(guest)["assignments"]
    lost = [row for row in rows if row["status"] == "unassigned"]
    assert lost
    for row in lost:
        assert row["grid_code"] is row["grid"] is row["distance_m"] is None
        assert row["reason"] == "outside every polygon"


def test_counts_alone_where_cases_are_not_to_be_listed(guest: TestClient) -> None:
    short = run(guest, datetime=JULY, list_cases=False)
    assert "assignments" not in short
    assert short["summary"] == run(guest, datetime=JULY)["summary"]


def test_a_document_holds_the_output_by_its_name(guest: TestClient) -> None:
    inputs = {"datetime": JULY, "list_cases": False}
    raw = guest.post(EXECUTION, json={"inputs": inputs})
    body = {"inputs": inputs, "outputs": {"assignment": {}}, "response": "document"}
    document = guest.post(EXECUTION, json=body)
    assert document.headers["content-type"] == "application/json"
    assert document.json() == {"assignment": {"mediaType": "application/json", "value": raw.json()}}


@pytest.mark.parametrize("wish", ["respond-async", "respond-async, wait=10", "wait=5"])
def test_it_runs_synchronously_whatever_is_preferred(guest: TestClient, wish: str) -> None:
    body = {"inputs": {"datetime": JULY, "list_cases": False}}
    answer = guest.post(EXECUTION, json=body, headers={"Prefer": wish})
    assert answer.status_code == 200
    assert answer.json()["cases"] > 0
    # Nothing of the preference was applied, so none is claimed; and there is no job
    assert not {"preference-applied", "location", "link"} & set(answer.headers)


def test_a_value_may_be_qualified_and_a_box_have_its_system(guest: TestClient) -> None:
    box = [-71.12, 42.36, -71.10, 42.38]
    plain = run(guest, datetime=JULY, bbox=box)
    crs = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
    for said in ({"bbox": box, "crs": crs}, {"value": {"bbox": box}}, [*box[:2], 0, *box[2:], 9]):
        other = run(guest, datetime={"value": JULY}, bbox=said)
        assert other["assignments"] == plain["assignments"]
    assert 0 < plain["cases"] < run(guest, datetime=JULY)["cases"]


def test_the_pins_that_an_answer_names_give_it_again(guest: TestClient) -> None:
    first = run(guest, datetime=JULY)
    pins = {name: first[name] for name in ("cases_revision", "grids_revision", "datetime")}
    assert run(guest, **pins) == first


# Who reads


def test_a_plugin_outside_of_a_session_is_refused() -> None:
    processor = CaseGridsProcessor({"name": PROCESSES["assign-cases-to-grids"]})
    with pytest.raises(NotAdmitted, match="no reader was set"):
        contextvars.Context().run(processor.execute, {})
    manager = guest_api("http://shikong.test").manager
    with pytest.raises(NotAdmitted):
        contextvars.Context().run(manager.execute_process, "assign-cases-to-grids", {})


def test_a_session_ends_with_its_request(demo_store: Store) -> None:
    with admitted(Session(way_of(demo_store, ANYONE))):
        assert current_session().admitted.reader == ANYONE
    with pytest.raises(NotAdmitted):
        current_session()


def test_sessions_of_requests_at_once_do_not_mix(demo_store: Store) -> None:
    async def ask(name: str) -> str:
        with admitted(Session(way_of(demo_store, Reader(name)))):
            await asyncio.sleep(0.01)
            return await asyncio.to_thread(lambda: current_session().admitted.reader.name)

    async def both() -> list[str]:
        return list(await asyncio.gather(ask("one"), ask("two"), ask("three")))

    assert asyncio.run(both()) == ["one", "two", "three"]


@pytest.mark.parametrize("layer", ["incidents", "grids"])
def test_a_private_layer_is_not_there_for_the_anonymous(own_doors, settings, layer: str) -> None:
    store = own_doors.store
    with store.database.write() as connection:
        catalog.set_visibility(connection, layer, Visibility.PRIVATE)
    for reader in (ANYONE, Reader("a member of staff", (View(),))):
        refused = client_of(store, settings, reader).post(EXECUTION, json={})
        unknown = client_of(store, settings, reader).post(
            EXECUTION, json={"inputs": {"cases": "nope"}}
        )
        assert refused.status_code == unknown.status_code == 400
        # Just what is said of a layer that does not exist
        said = refused.json()["detail"].replace(f"'{layer}'", "'nope'")
        if layer == "incidents":
            assert said == unknown.json()["detail"]
        assert f"no layer '{layer}'" in refused.json()["detail"]
    everything = client_of(store, settings, Reader.everything())
    assert run(everything, list_cases=False)["cases"] == 10_000


# What can't be


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no JSON"),
        (b"cases", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[]", "write an object"),
        (b'{"inputs": []}', "write an object"),
        (b'{"inputs": {"tolerance_m": NaN}}', "no JSON"),
        (b'{"input": {}}', "there are: inputs, outputs, response"),
        (b'{"inputs": {"case": "incidents"}}', "'case' is not known; there are: cases, grids"),
        (b'{"inputs": {"cases": "nope"}}', "no layer 'nope'"),
        (b'{"inputs": {"cases": "a\\u0000"}}', "cases"),
        (b'{"inputs": {"cases": "parcels"}}', "name an event layer"),
        (b'{"inputs": {"grids": "incidents"}}', "name a state layer of polygons"),
        (b'{"inputs": {"cases": {"href": "http://127.0.0.1:1/"}}}', "not fetched"),
        (b'{"inputs": {"datetime": "yesterday"}}', "'yesterday' is no instant"),
        (b'{"inputs": {"datetime": "2024-02-01/2024-01-01"}}', "ends before it starts"),
        (b'{"inputs": {"datetime": 20240101}}', "datetime"),
        (b'{"inputs": {"recorded": "2001-01-01"}}', "recorded by"),
        (b'{"inputs": {"recorded": "2025-02-01", "grids_revision": 1}}', "one of them"),
        (b'{"inputs": {"cases_revision": 77}}', "revisions 1 to 1"),
        (b'{"inputs": {"cases_revision": 0}}', "cases_revision"),
        (b'{"inputs": {"cases_revision": 99999999999999999999}}', "cases_revision"),
        (b'{"inputs": {"tolerance_m": 1000.1}}', "less than or equal to 1000"),
        (b'{"inputs": {"tolerance_m": -1}}', "tolerance_m"),
        (b'{"inputs": {"tolerance_m": "50"}}', "tolerance_m"),
        (b'{"inputs": {"bbox": [1, 2, 3]}}', "bbox"),
        (b'{"inputs": {"bbox": ["a", 2, 3, 4]}}', "bbox"),
        (b'{"inputs": {"bbox": [0, 50, 1, 49]}}', "south is above its north"),
        (b'{"inputs": {"bbox": {"bbox": [1, 2, 3, 4], "crs": "EPSG:3857"}}}', "CRS84"),
        (b'{"inputs": {"grid_types": []}}', "grid_types"),
        (b'{"inputs": {"grid_types": ["ward"]}}', "no grid type 'ward'"),
        (b'{"outputs": {"counts": {}}}', "there is: assignment"),
        (b'{"outputs": {"assignment": {"transmissionMode": "reference"}}}', "transmissionMode"),
        (b'{"outputs": {"assignment": {"format": {"mediaType": "text/csv"}}}}', "mediaType"),
        (b'{"response": "html"}', "'raw' or 'document'"),
        (b'{"inputs": ' + b"[" * 5000 + b"]" * 5000 + b"}", "no JSON"),
        (b'{"inputs": {"cases": ' + b"[" * 600 + b"]" * 600 + b"}}", "the body"),
        (b'{"inputs": {"cases": ' + b"[" * 252 + b"]" * 252 + b"}}", "cases"),
    ],
)
def test_a_bad_body_is_a_400_that_says_so(guest: TestClient, body: bytes, said: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = guest.post(EXECUTION, content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]
    assert "Traceback" not in answer.text


def test_a_callback_is_refused_and_not_called(guest: TestClient, monkeypatch) -> None:
    monkeypatch.setattr("requests.post", lambda *a, **k: pytest.fail("the guest went out"))
    body = {"subscriber": {"successUri": "http://127.0.0.1:1/"}, "inputs": {"datetime": JULY}}
    answer = guest.post(EXECUTION, json=body)
    assert answer.status_code == 400
    assert "'subscriber' is not known" in answer.json()["detail"]


def test_what_is_too_large_or_of_another_type_is_refused(guest: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    assert (
        guest.post(EXECUTION, content=b" " * (LARGEST_BODY + 1), headers=headers).status_code == 413
    )
    text = guest.post(EXECUTION, content=b"{}", headers={"Content-Type": "text/plain"})
    assert text.status_code == 415
    assert "send application/json" in text.json()["detail"]
    utf8 = {"Content-Type": "application/json; charset=utf-8"}
    body = b'{"inputs": {"list_cases": false}}'
    assert guest.post(EXECUTION, content=body, headers=utf8).status_code == 200


def test_more_rows_than_one_answer_may_have_are_refused(guest: TestClient, monkeypatch) -> None:
    monkeypatch.setattr("services.guest.case_grids.MOST_ROWS", 100)
    answer = guest.post(EXECUTION, json={})
    assert answer.status_code == 400
    assert "ask for less with bbox, datetime or grid_types" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/processes/nope", "no-such-process"),
        ("POST", "/processes/nope/execution", "no-such-process"),
        ("GET", "/jobs/nope", "no-such-job"),
        ("GET", "/jobs/nope/results", "no-such-job"),
    ],
)
def test_what_is_not_there_has_the_type_of_the_standard(guest, method, path, kind) -> None:
    answer = guest.request(method, path, json={} if method == "POST" else None)
    assert answer.status_code == 404
    assert answer.json()["type"] == f"{EXCEPTION}/{kind}"
    assert "nope" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/processes?limit=0", 400),
        ("/processes?lang=xx", 400),
        ("/processes?x=1", 400),
        (f"{PROCESS}?limit=1", 400),
        (f"{PROCESS}?f=jsonld", 406),
        (EXECUTION, 405),
        ("/jobs", 404),
    ],
)
def test_other_addresses_and_parameters_are_refused(guest, path: str, status: int) -> None:
    answer = guest.get(path)
    assert answer.status_code == status
    assert answer.json()["status"] == status


def test_a_fault_of_ours_is_a_500_that_shows_nothing(guest: TestClient, monkeypatch) -> None:
    def fail(*a: Any, **k: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("services.assignments.assign_cases", fail)
    answer = guest.post(EXECUTION, json={})
    assert answer.status_code == 500
    assert "secret" not in answer.text


# Manners of the guest


def test_the_guest_leaves_the_logging_of_others_alone() -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers = []
    try:
        guest_api.cache_clear()
        guest_api("http://shikong.test/logging")
        assert root.handlers == []
        assert root.level == level
    finally:
        root.handlers = handlers


def test_links_begin_with_the_address_of_the_settings(demo_store: Store, settings) -> None:
    stated = Settings(settings.data, base_url="https://shikong.test/city")
    document = client_of(demo_store, stated).get(PROCESS).json()
    assert all(link["href"].startswith(f"{stated.base_url}/") for link in document["links"])


def test_the_documents_are_there_for_pages(demo_store: Store, settings: Settings) -> None:
    async def ask() -> tuple[dict[str, Any], dict[str, Any]]:
        app = Starlette()
        app.state.store, app.state.settings = demo_store, settings
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/processes",
            "query_string": b"",
            "headers": [(b"host", b"shikong.test")],
            "app": app,
            "state": {"reader": ANYONE, "admitted": way_of(demo_store, ANYONE)},
        }
        request = Request(scope)
        return await processes_document(request), await process_document(
            request, "assign-cases-to-grids"
        )

    listed, described = asyncio.run(ask())
    assert listed["processes"][0]["id"] == described["id"]


def test_the_time_of_a_run_is_that_of_the_store_s_clock(demo_store: Store, settings) -> None:
    now = datetime(2024, 3, 1, tzinfo=UTC)
    document = run(client_of(demo_store.with_clock(lambda: now), settings), list_cases=False)
    assert document["datetime"] == "2024-03-01T00:00:00Z"
