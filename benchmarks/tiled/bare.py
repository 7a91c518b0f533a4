"""The least that an application under granian can do: send one answer, or say it is not modified.

What it sends stands in two files, named by ``BARE_ANSWER``: headers as JSON, and the body.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_FILE = os.environ["BARE_ANSWER"]
_BODY = Path(f"{_FILE}.body").read_bytes()
_PAIRS: list[tuple[str, str]] = [(n, v) for n, v in json.loads(Path(f"{_FILE}.json").read_text())]
_ETAG = dict(_PAIRS)["etag"]
_LESS = [(n, v) for n, v in _PAIRS if not n.startswith("content-") or n == "content-revision"]
_RAW, _RAW_LESS = ([(n.encode(), v.encode()) for n, v in pairs] for pairs in (_PAIRS, _LESS))


async def rsgi(scope: Any, protocol: Any) -> None:
    """Answer by RSGI."""
    if scope.headers.get("if-none-match") == _ETAG:
        protocol.response_empty(304, _LESS)
    else:
        protocol.response_bytes(200, _PAIRS, _BODY)


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Answer by ASGI."""
    del receive
    if scope["type"] != "http":
        raise RuntimeError(f"nothing is served by {scope['type']}; ask by HTTP")
    tag = next((value for name, value in scope["headers"] if name == b"if-none-match"), b"")
    same = tag == _ETAG.encode()
    status, headers, body = (304, _RAW_LESS, b"") if same else (200, _RAW, _BODY)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
