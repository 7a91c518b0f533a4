"""No address is fetched but of hosts on the list, and none without bounds."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from liars import Liar

from services.access.fetching import Answer, Fetcher
from services.errors import FetchFailed, FetchRefused

Run = Callable[[Any], Any]


@pytest.fixture
def fetcher(liar: Liar) -> Fetcher:
    return Fetcher(frozenset({liar.host}), timeout_s=0.5, largest_bytes=1000)


def test_what_is_allowed_is_fetched(run: Run, liar: Liar, fetcher: Fetcher) -> None:
    liar.says("/a", {"b": "丙"})
    assert run(fetcher.get_json(f"{liar.url}/a?c=d")) == {"b": "丙"}
    liar.says("/refused", {"error": "invalid_grant"}, status=400)
    answer = run(fetcher.post_form(f"{liar.url}/refused", {"code": "c"}))
    assert answer == Answer(400, {"error": "invalid_grant"})


def test_a_form_and_a_name_arrive_as_they_were(run: Run, liar: Liar, fetcher: Fetcher) -> None:
    heard: list[str] = []

    def hear(request: BaseHTTPRequestHandler) -> None:
        heard.append(str(request.headers["authorization"]))
        request.send_response(200)
        request.send_header("content-length", "2")
        request.end_headers()
        request.wfile.write(b"{}")

    liar.replies["/"] = hear
    run(fetcher.post_form(liar.url, {}, ("a:b", "c d")))
    run(fetcher.get_json(liar.url, bearer="token"))
    assert heard == ["Basic YSUzQWI6Yytk", "Bearer token"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://elsewhere.example/", "add it to SHIKONG_FETCH_HOSTS"),
        ("https://city.example.evil.example/", "add it to SHIKONG_FETCH_HOSTS"),
        ("https://evil-city.example/", "add it to SHIKONG_FETCH_HOSTS"),
        ("https://city.example./", "add it to SHIKONG_FETCH_HOSTS"),
        ("https://city.example:8443/", "add it to SHIKONG_FETCH_HOSTS"),
        ("https://10.0.0.1/", "add it to SHIKONG_FETCH_HOSTS"),
        ("https://10.0.0.1:8444/", "add it to SHIKONG_FETCH_HOSTS"),
        ("https://127.0.0.1/", "add it to SHIKONG_FETCH_HOSTS"),
        ("http://localhost/", "add it to SHIKONG_FETCH_HOSTS"),
        ("https://evil.example#@city.example/", "add it to SHIKONG_FETCH_HOSTS"),
        ("https://evil.example/@city.example/", "add it to SHIKONG_FETCH_HOSTS"),
        ("https://evil.example?@city.example/", "add it to SHIKONG_FETCH_HOSTS"),
        ("https://city.example@evil.example/", "a name or a password"),
        ("https://evil.example\\@city.example/", "a name or a password"),
        # pragma: allowlist nextline secret - of nobody, nowhere
        ("https://user:secret@city.example/", "a name or a password"),
        ("http://city.example/", "write https://"),
        ("http://169.254.169.254/latest/meta-data", "write https://"),
        ("http://127.1/", "write https://"),
        ("ftp://city.example/", "write https://"),
        ("file:///etc/passwd", "write https://"),
        ("data:application/json,{}", "write https://"),
        ("//city.example/", "write https://"),
        ("/keys", "write https://"),
        ("", "write https://"),
        ("https://city.example:99999999/", "add it to SHIKONG_FETCH_HOSTS"),
        ("https://city.example:x/", "no address"),
        ("https://city\n.example/", "no address"),
        ("https:///keys", "add it to SHIKONG_FETCH_HOSTS"),
    ],
)
def test_what_is_not_allowed_is_refused(run: Run, url: str, reason: str) -> None:
    fetcher = Fetcher(frozenset({"city.example", "10.0.0.1:8443"}), timeout_s=0.5)
    with pytest.raises(FetchRefused, match=reason) as caught:
        run(fetcher.get_json(url))
    assert "secret" not in str(caught.value)
    with pytest.raises(FetchRefused, match=reason):
        run(fetcher.post_form(url, {}))
    with pytest.raises(FetchRefused, match=reason):
        fetcher.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://city.example/a",
        "https://City.Example:443/a",
        "https://10.0.0.1:8443/",
        "https://[2001:db8::1]/",
        "http://[::1]:8000/",
        "http://localhost:8000/",
        "https://xn--fiqs8s.example/",
        "https://中国.example/",
    ],
)
def test_what_is_on_the_list_passes(url: str) -> None:
    hosts = {"City.example", "10.0.0.1:8443", "[2001:db8::1]", "[::1]:8000", "localhost:8000"}
    Fetcher(frozenset(hosts | {"xn--fiqs8s.example"})).check(url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(run: Run, liar: Liar, fetcher: Fetcher, status: int) -> None:
    liar.says("/next", {})
    for target in (f"{liar.url}/next", "http://169.254.169.254/"):
        liar.says("/a", {}, status=status, location=target)
        with pytest.raises(FetchRefused, match="none is followed"):
            run(fetcher.get_json(f"{liar.url}/a"))
    assert "/next" not in liar.asked


def reply(body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return 200, headers, body


BAD_ANSWERS = {
    "too large": (reply(json.dumps({"a": "b" * 1000}).encode()), "more than 1,000 bytes"),
    "no JSON": (reply(b"<html>secret"), "no JSON"),
    "not UTF-8": (reply(b'{"a": "\xff"}'), "no JSON"),
    "NaN": (reply(b'{"a": NaN}'), "no JSON"),
    "deep": (reply(b"[" * 900), "no JSON"),
    "no object": (reply(b"[1]"), "no object"),
    "empty": (reply(b""), "no JSON"),
    "squeezed": (
        reply(gzip.compress(b"{}" + b" " * 10_000_000)[:900], content_encoding="gzip"),
        "squeezes",
    ),
    "cut off": (reply(b"{", content_length="500"), "can't be reached|does not answer"),
    "error": ((503, {}, b'{"a": "secret"}'), "answers with status 503"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_is_an_error_that_says_so(
    run: Run, liar: Liar, fetcher: Fetcher, name: str
) -> None:
    liar.replies["/a"], reason = BAD_ANSWERS[name]
    with pytest.raises(FetchFailed, match=reason) as caught:
        run(fetcher.get_json(f"{liar.url}/a"))
    assert "secret" not in str(caught.value)


def test_an_answer_without_end_is_cut(run: Run, liar: Liar, fetcher: Fetcher) -> None:
    def talk(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not liar.over.is_set():
            request.wfile.write(b" " * 10_000)

    liar.replies["/a"] = talk
    with pytest.raises(FetchFailed, match="more than 1,000 bytes"):
        run(fetcher.get_json(f"{liar.url}/a"))


def test_an_answer_in_drops_is_given_up(run: Run, liar: Liar, fetcher: Fetcher) -> None:
    """Each drop comes in time; all of them do not."""

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("content-length", "102")
        request.end_headers()
        for byte in b"{" + b" " * 100 + b"}":
            request.wfile.write(bytes([byte]))
            if liar.over.wait(0.1):
                return

    liar.replies["/a"] = drip
    with pytest.raises(FetchFailed, match=r"does not answer within 0\.5 s"):
        run(fetcher.get_json(f"{liar.url}/a"))


def test_nobody_there(run: Run) -> None:
    with pytest.raises(FetchFailed, match="can't be reached"):
        run(Fetcher(frozenset({"127.0.0.1:1"})).get_json("http://127.0.0.1:1/"))


def test_a_server_that_speaks_no_tls(run: Run, liar: Liar, fetcher: Fetcher) -> None:
    with pytest.raises(FetchFailed, match="can't be reached"):
        run(fetcher.get_json(f"https://{liar.host}/a"))
    assert liar.asked == []


def test_no_proxy_of_the_environment_is_used(
    run: Run, liar: Liar, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    liar.says("/a", {"b": 1})
    assert run(fetcher.get_json(f"{liar.url}/a")) == {"b": 1}
