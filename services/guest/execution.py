"""How an execution is asked for and run: in the request, with no job, no file and no callback."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pygeoapi.process.manager.base import BaseManager
from pygeoapi.util import JobStatus

from services.errors import BadBody
from services.negotiation import JSON

# pygeoapi serialises by itself, slowly, what is of the type without a parameter
_READY_JSON = f"{JSON}; charset=utf-8"


class Format(BaseModel):
    """In which format an output is wanted."""

    model_config = ConfigDict(extra="forbid")
    mediaType: Literal["application/json"] = "application/json"  # noqa: N815 - the standard's name


class Output(BaseModel):
    """How an output is wanted."""

    model_config = ConfigDict(extra="forbid")
    transmissionMode: Literal["value"] = "value"  # noqa: N815 - the standard's name
    format: Annotated[Format, Field(default_factory=Format)]


class Execution(BaseModel):
    """The body of an execution; callbacks (``subscriber``) are not offered."""

    model_config = ConfigDict(extra="forbid")
    inputs: Annotated[dict[str, JsonValue], Field(default_factory=dict)]
    outputs: dict[str, Output] | None = None
    response: Literal["raw", "document"] = "raw"


def read_execution(body: bytes) -> Execution:
    """Read the body of an execution.

    Raises
    ------
    BadBody
        Where it is no JSON, or asks for what is not offered.

    Examples
    --------
    >>> read_execution(b'{"inputs": {"cases": "incidents"}}').response
    'raw'
    """
    try:
        return Execution.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise BadBody(f'the body is no JSON ({error}); send {{"inputs": {{...}}}}') from None
    except ValidationError as error:
        raise BadBody(explain(error, "the body", tuple(Execution.model_fields))) from None


def explain(error: ValidationError, whole: str, known: tuple[str, ...]) -> str:
    """Return the first of what is wrong as one sentence."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])[:100]
    if first["type"] == "extra_forbidden":
        return f"{whole}: {place!r} is not known; there are: {', '.join(known)}"
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] in ("model_type", "dict_type"):
        said = "write an object, {...}"
    return f"{whole}: {place + ': ' if place else ''}{said}"


class SynchronousManager(BaseManager):  # type: ignore[misc]
    """Runs a process in the request, and lets its errors out.

    pygeoapi's DummyManager fetches the addresses that a ``subscriber`` names, answers any error,
    ours or its own, as a 400 with its text, and gives documents in a form that is not the
    standard's.
    """

    def execute_process(
        self,
        process_id: str,
        data_dict: dict[str, Any],
        execution_mode: Any = None,
        requested_outputs: dict[str, Any] | None = None,
        subscriber: Any = None,
        requested_response: str = "raw",
    ) -> tuple[str, str, Any, JobStatus, dict[str, str] | None]:
        """Run a process; `execution_mode` is passed over, as all processes are synchronous only.

        Returns
        -------
        tuple
            Job id (which nothing keeps), media type, output, status and further headers.
        """
        processor = self.get_processor(process_id)
        media_type, output = processor.execute(data_dict, outputs=requested_outputs)
        job = str(uuid.uuid4())
        if requested_response == "document":
            (name,) = processor.metadata["outputs"]
            document = {name: {"mediaType": media_type, "value": output}}
            return job, JSON, document, JobStatus.successful, None
        return job, _READY_JSON, orjson.dumps(output), JobStatus.successful, None

    def __repr__(self) -> str:
        return "<SynchronousManager>"
