"""A server that writes down what it is asked: ``python recorder.py PORT FILE``.

DATABASE_URL names the store. A process of its own, because GDAL keeps the interpreter's lock while
it waits for an answer.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import orjson
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from layers.store import open_store
from services.app import create_app
from services.settings import read_settings
from services.wire import Wire

HEADERS = ("accept", "origin", "access-control-request-headers")


def recorded(app: ASGIApp, file: IO[bytes]) -> ASGIApp:
    """Write a line for each request, before its answer is out, with the words of a refusal."""

    async def write(scope: Scope, receive: Receive, send: Send) -> None:
        line: dict[str, Any] = {}

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
                line["method"], line["path"] = scope["method"], scope["path"]
                line["query"] = scope["query_string"].decode("latin-1")
                line["status"], line["problem"] = message["status"], ""
                line["headers"] = {k: v for k, v in headers.items() if k in HEADERS}
            elif line:
                if line["status"] >= 400:
                    line["problem"] = message.get("body", b"").decode(errors="replace")
                file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
                file.flush()
                line.clear()
            await send(message)

        await app(scope, receive, note if scope["type"] == "http" else send)

    return write


def main(port: int, path: Path) -> None:
    settings = read_settings()
    assert settings.database_url is not None
    with closing(open_store(settings.database_url)) as store, path.open("ab") as file:
        store.follow()
        app = recorded(create_app(store, settings), file)
        uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", ws="none", http=Wire)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
