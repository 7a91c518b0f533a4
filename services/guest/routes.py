"""The doors to the guest: process list, description, execution, and the jobs that there are not."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from pygeoapi.api.processes import describe_processes, execute_process
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.access.rules import Rule
from services.doors import Door
from services.errors import BadBody
from services.guest.asking import UnknownProcess, ask, language_of
from services.guest.configuration import LANGUAGES
from services.guest.description import METADATA
from services.guest.execution import Execution, read_execution
from services.guest.inputs import Inputs, input_schema
from services.links import address, link, self_links
from services.negotiation import JSON, VARY, check_format, wants_html
from services.openapi import operation
from services.pages import problem_page, respond
from services.parameters import check_names, read_body, read_limit

LARGEST_BODY = 64 << 10
_EXCEPTION = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
_EXECUTE = "http://www.opengis.net/def/rel/ogc/1.0/execute"


async def processes_document(request: Request) -> dict[str, Any]:
    """Return the list of processes, in the language that is asked for.

    Raises
    ------
    BadParameter
        For a limit that is none.
    """
    limit, note = read_limit(request)
    _, body = await ask(request, describe_processes, query={"limit": str(limit)})
    document: dict[str, Any] = orjson.loads(body)
    document["links"] = self_links(request, JSON, "processes")
    for summary in document["processes"]:
        summary["links"] = _process_links(request, summary["id"])
    return document | ({"note": note} if note else {})


async def process_document(request: Request, process_id: str) -> dict[str, Any]:
    """Return the description of one process, in the language that is asked for.

    Raises
    ------
    UnknownProcess
        Where there is none of that id.
    """
    _, body = await ask(request, describe_processes, process_id)
    document: dict[str, Any] = orjson.loads(body)
    document["links"] = [
        *self_links(request, JSON, "processes", process_id),
        *_process_links(request, process_id)[1:],
    ]
    return document


async def processes(request: Request) -> Response:
    """Answer the list of processes."""
    check_format(request)
    check_names(request, ("f", "lang", "limit"))
    document = await processes_document(request)
    return respond(request, document, "processes.html", headers=_headers(request))


async def process(request: Request) -> Response:
    """Answer the description of a process."""
    check_format(request)
    check_names(request, ("f", "lang"))
    try:
        document = await process_document(request, request.path_params["processID"])
    except UnknownProcess as error:
        return _missing(request, "no-such-process", str(error))
    return respond(request, document, "process.html", headers=_headers(request))


async def execution(request: Request) -> Response:
    """Run a process and answer its output: synchronously, whatever is preferred."""
    check_format(request, offered=("json",))
    check_names(request, ("f",))
    asked = read_execution(await _read_body(request))
    try:
        headers, body = await ask(
            request, execute_process, request.path_params["processID"], body=_body(asked)
        )
    except UnknownProcess as error:
        return _missing(request, "no-such-process", str(error))
    answer = {"Cache-Control": "no-store", "Vary": VARY}
    return Response(body, 200, answer, headers["Content-Type"])


async def job(request: Request) -> Response:
    """Answer that there is no such job, as every execution is answered at once."""
    detail = f"there is no job {request.path_params['jobID']!r}: executions are answered at once"
    return _missing(request, "no-such-job", detail)


async def _read_body(request: Request) -> bytes:
    media_type = request.headers.get("content-type", JSON).split(";")[0].strip().lower()
    if media_type != JSON:
        raise HTTPException(415, f"the body is {media_type!r}; send {JSON}")
    return await read_body(
        request, LARGEST_BODY, f"an execution may have {LARGEST_BODY >> 10} kB; name layers in it"
    )


def _body(asked: Execution) -> bytes:
    """Return the body as it was understood, so that the guest reads nothing else into it."""
    try:
        return orjson.dumps(asked.model_dump(exclude_none=True))
    except TypeError as error:
        raise BadBody(f"the body can't be read: {error}") from None


def _headers(request: Request) -> dict[str, str]:
    return {"Content-Language": language_of(request), "Vary": f"{VARY}, Accept-Language"}


def _missing(request: Request, kind: str, detail: str) -> Response:
    """Return a 404 with the type that the standard gives it."""
    title = HTTPStatus.NOT_FOUND.phrase
    headers = {"Cache-Control": "no-store"}
    if wants_html(request):
        return problem_page(request, 404, title, detail, headers)
    body = {"type": f"{_EXCEPTION}/{kind}", "title": title, "status": 404, "detail": detail}
    return Response(orjson.dumps(body), 404, headers, "application/problem+json")


def _process_links(request: Request, process_id: str) -> list[dict[str, str]]:
    """Return a process's own links: the guest's name a job list, which is not offered."""
    here = ("processes", process_id)
    return [
        link(address(request, *here), "self", JSON, "Description · 说明"),
        link(address(request, *here, "execution"), _EXECUTE, JSON, "Execution · 执行"),
    ]


_LANG = {
    "name": "lang",
    "in": "query",
    "description": "Language of titles and descriptions; the Accept-Language header otherwise",
    "schema": {"type": "string", "enum": list(LANGUAGES)},
}
_PROCESS_ID = {
    "name": "processID",
    "in": "path",
    "required": True,
    "description": "Id of a process · 分析标识",
    "schema": {"type": "string"},
}
_JOB_ID = {"name": "jobID", "in": "path", "required": True, "schema": {"type": "string"}}
_EXECUTE_BODY = {
    "type": "object",
    "properties": {
        "inputs": {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: input_schema(name) for name in Inputs.model_fields},
        },
        "outputs": {"type": "object"},
        "response": {"type": "string", "enum": ["raw", "document"], "default": "raw"},
    },
}


def _operation(described: dict[str, Any], *parameters: Mapping[str, Any]) -> dict[str, Any]:
    return described | {"parameters": [*parameters, *described["parameters"]]}


def _execution_operation() -> dict[str, Any]:
    described = operation(
        "execute",
        "Run a process, synchronously · 执行分析",
        "processes",
        parameters=("f",),
        media_types=(JSON,),
        schema=METADATA["outputs"]["assignment"]["schema"],
        errors=(400, 401, 404, 406, 413, 415, 422),
    )
    described["responses"].pop("304")
    content = {JSON: {"schema": _EXECUTE_BODY, "example": METADATA["example"]}}
    body = {"required": True, "content": content}
    return _operation(described, _PROCESS_ID) | {"requestBody": body}


def _job_operation(name: str, summary: str) -> dict[str, Any]:
    described = operation(name, summary, "processes", errors=(401, 404))
    described["responses"] = {
        code: said for code, said in described["responses"].items() if code not in ("200", "304")
    }
    return _operation(described, _JOB_ID)


# No class of OGC API - Processes is declared: all of them include its core, which demands that
# inputs given by reference are fetched (/req/core/process-execute-inputs). From addresses that
# anyone may name, a server within an intranet must not.
GUEST_ROUTES = (
    Door(
        "/processes",
        "GET",
        processes,
        _operation(
            operation(
                "getProcesses",
                "Processes · 分析列表",
                "processes",
                parameters=("f", "limit"),
                errors=(400, 401, 406),
            ),
            _LANG,
        ),
        rule=Rule.OPEN,
    ),
    Door(
        "/processes/{processID}",
        "GET",
        process,
        _operation(
            operation(
                "getProcess",
                "Description of a process · 分析说明",
                "processes",
                parameters=("f",),
                errors=(400, 401, 404, 406),
            ),
            _PROCESS_ID,
            _LANG,
        ),
        rule=Rule.OPEN,
    ),
    Door(
        "/processes/{processID}/execution",
        "POST",
        execution,
        _execution_operation(),
        rule=Rule.CATALOGUE,
    ),
    Door(
        "/jobs/{jobID}",
        "GET",
        job,
        _job_operation("getJob", "A job; there is none · 作业"),
        rule=Rule.OPEN,
    ),
    Door(
        "/jobs/{jobID}/results",
        "GET",
        job,
        _job_operation("getJobResults", "Results of a job; there is none · 作业结果"),
        rule=Rule.OPEN,
    ),
)
