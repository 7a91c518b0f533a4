"""A server that lies, stalls or says too much, as a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Liar:
    """A server on loopback that answers what a test wants, and notes what it was asked."""

    host: str = ""
    replies: dict[str, Reply | Callable[[BaseHTTPRequestHandler], None]] = field(
        default_factory=dict
    )
    asked: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.url = f"http://{self.host}"

    def says(self, path: str, document: Any, status: int = 200, **headers: str) -> None:
        """Answer with JSON from now on."""
        self.replies[path] = (status, headers, json.dumps(document).encode())

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a request, by a reply or by a program."""
        path = urlsplit(request.path).path
        self.asked.append(path)
        request.rfile.read(int(request.headers.get("content-length", 0)))
        reply = self.replies.get(path, (404, {}, b"{}"))
        if not isinstance(reply, tuple):
            reply(request)
            return
        status, headers, body = reply
        request.send_response(status)
        for name, value in ({"content-length": str(len(body))} | headers).items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)


class Handler(BaseHTTPRequestHandler):
    """Hands every request to the liar that the server belongs to."""

    liar: Liar

    def do_GET(self) -> None:
        with suppress(ConnectionError):  # whoever asked has had enough, as it should
            self.liar.answer(self)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def lying_server() -> Iterator[Liar]:
    """Serve lies on a free port of loopback."""
    handler = type("OwnHandler", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        liar = Liar(f"127.0.0.1:{server.server_address[1]}")
        handler.liar = liar
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield liar
        finally:
            liar.over.set()
            server.shutdown()
            thread.join()
