"""Archives of tiles over HTTP: who gets them, in parts; and tiles that are answered from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pmtiles.reader import Reader as PmtilesReader
from starlette.testclient import TestClient

from layers.access.grants import Role, Terms
from layers.store import open_store
from services.app import create_app
from services.cli import main
from services.settings import Settings
from tests.databases import Databases
from tests.services.conftest import PLAIN, Doors

HERE = "/collections/parcels/tiles/archives"
TILE = "/collections/parcels/tiles/WebMercatorQuad/12/1515/1239"
AT = "2014-06-01"


@pytest.fixture(scope="module")
def packed(
    demo_template: str,
    make_database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Path]:
    """A city, and a data folder with archives of it: everybody's, and everything's."""
    dsn, data = make_database(demo_template), tmp_path_factory.mktemp("data")
    (data / "archives").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", dsn)
        for name in ("anonymous", "everything"):
            out = str(data / "archives" / f"{name}.pmtiles")
            words = ["tiles", "archive", "parcels", out, "--at", AT, "--revision", "4"]
            more = ["--zoom", "0..12", "--as", name, "--data", str(data)]
            assert main([*words, *more]) == 0
    return dsn, data


@pytest.fixture(scope="module")
def doors(packed: tuple[str, Path], settings: Settings) -> Iterator[Doors]:
    dsn, data = packed
    with closing(open_store(dsn)) as store:
        store.follow()
        # No shelf: what the command drew must not be found there.
        own = dataclasses.replace(settings, data=data, tile_disk_bytes=0)
        app = create_app(store, own)
        with TestClient(app, raise_server_exceptions=False, headers=PLAIN) as client:
            yield Doors(store, client)


def listed(doors: Doors, **options: Any) -> list[dict[str, Any]]:
    return doors.json(HERE, **options)["archives"]  # type: ignore[no-any-return]


def test_who_sees_just_this_gets_just_this(doors: Doors, packed: tuple[str, Path]) -> None:
    reader = doors.granted(Terms(Role.READER))
    for headers, name in (({}, "anonymous"), (reader, "everything")):
        [mine] = listed(doors, headers=headers)
        assert mine["links"][0]["title"] == f"{name}.pmtiles"
        assert (mine["revision"], mine["instant"], mine["zooms"]) == (
            4, "2014-06-01T04:00:00Z", [0, 12],
        )  # fmt: skip
        whole = doors.client.get(mine["links"][0]["href"], headers=headers)
        file = packed[1] / "archives" / f"{name}.pmtiles"
        assert (whole.status_code, whole.content) == (200, file.read_bytes())
        assert whole.headers["content-type"] == "application/vnd.pmtiles"
        scope = "private" if headers else "public"
        assert whole.headers["cache-control"] == f"{scope}, max-age=31536000, immutable"
    [theirs] = listed(doors, headers=reader)
    refused = doors.client.get(theirs["links"][0]["href"])
    assert (refused.status_code, refused.headers["content-type"]) == (
        404, "application/problem+json",
    )  # fmt: skip


def test_somebody_who_sees_a_part_gets_none(doors: Doors) -> None:
    some = doors.granted(Terms(Role.READER, fields=("ml", "right_holder")))
    assert listed(doors, headers=some) == []


def test_a_client_reads_what_it_needs(doors: Doors) -> None:
    """The format's own reader, which asks for bytes by Range; each tile is the server's."""
    [mine] = listed(doors)
    href, asked = mine["links"][0]["href"], []

    def get(offset: int, length: int) -> bytes:
        header = f"bytes={offset}-{offset + length - 1}"
        answer = doors.client.get(href, headers={"Range": header})
        assert answer.status_code == 206
        assert answer.headers["content-range"].startswith(f"bytes {offset}-")
        assert "content-encoding" not in answer.headers
        asked.append(length)
        return answer.content

    import gzip

    data = PmtilesReader(get).get(12, 1239, 1515)
    assert data is not None
    assert gzip.decompress(data) == doors.client.get(f"{TILE}?datetime={AT}&revision=4").content
    assert sum(asked) < mine["bytes"]


def test_validators(doors: Doors) -> None:
    [mine] = listed(doors)
    href = mine["links"][0]["href"]
    first = doors.client.get(href, headers={"Accept-Encoding": "gzip, br, zstd"})
    assert "content-encoding" not in first.headers
    etag = first.headers["etag"]
    assert doors.client.get(href, headers={"If-None-Match": etag}).status_code == 304
    part = {"Range": "bytes=0-6"}
    assert doors.client.get(href, headers=part | {"If-Range": etag}).content == b"PMTiles"
    assert doors.client.get(href, headers=part | {"If-Range": '"other"'}).status_code == 200
    whole = first.content
    for said, wanted in (
        ("bytes=7-7", whole[7:8]),
        ("bytes=-5", whole[-5:]),
        (f"bytes={len(whole) - 3}-", whole[-3:]),
        ("bytes=0-99999999999", whole),
    ):
        answer = doors.client.get(href, headers={"Range": said})
        assert (answer.status_code, answer.content) == (206, wanted), said
    for said in ("bytes=9-2", "bytes=", "bytes", "lines=1-2", "bytes=0-1,5-6", "bytes=-"):
        answer = doors.client.get(href, headers={"Range": said})
        assert (answer.status_code, answer.content) == (200, whole), said
    head = doors.client.head(href)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == mine["bytes"]


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        (f"{HERE}/none.pmtiles", {}, 404),
        (f"{HERE}/..%2Fpg_hba.conf", {}, 404),
        ("/collections/nope/tiles/archives", {}, 404),
        ("/collections/nope/tiles/archives/a.pmtiles", {}, 404),
        (f"{HERE}?page=1", {}, 400),
        (f"{HERE}?f=csv", {}, 406),
        ("{first}", {"Range": "bytes=999999999-"}, 416),
        ("{first}", {"Range": "bytes=-0"}, 416),
        ("{first}?f=json", {}, 406),
        ("{first}?a=b", {}, 400),
    ],
)
def test_what_is_refused(doors: Doors, address: str, headers: dict[str, str], status: int) -> None:
    first = listed(doors)[0]["links"][0]["href"]
    answer = doors.client.get(address.replace("{first}", first), headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_list_is_a_page_too(doors: Doors) -> None:
    page = doors.client.get(f"{HERE}?f=html")
    assert page.status_code == 200
    assert "anonymous.pmtiles" in page.text
    assert "everything.pmtiles" not in page.text
    empty = doors.client.get("/collections/grids/tiles/archives?f=html")
    assert "shikong tiles archive grids" in empty.text


def test_tiles_come_from_the_archive_of_their_state(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pinned, or at the instant alone while the revision is the newest; nobody else's tiles."""
    drawn: list[Any] = []

    def watched(snapshot: Any, where: Any, names: Any = None) -> Any:
        drawn.append(where)
        return real(snapshot, where, names)

    async def never(*own: Any) -> None:
        return None

    from tiles.keeping import making

    real = making.draw
    monkeypatch.setattr(making, "draw", watched)
    monkeypatch.setattr(making, "draw_soon", never)
    pinned = doors.client.get(f"{TILE}?datetime={AT}&revision=4")
    assert (pinned.status_code, drawn) == (200, [])
    assert "immutable" in pinned.headers["cache-control"]
    assert doors.client.get(f"{TILE}?datetime={AT}").content == pinned.content
    empty = "/collections/parcels/tiles/WebMercatorQuad/12/0/0"
    assert doors.client.get(f"{empty}?datetime={AT}").status_code == 204
    assert drawn == []
    some = doors.granted(Terms(Role.READER, fields=("right_holder",)))
    for query, headers in (
        ("", {}),
        (f"?datetime={AT}&properties=ml", {}),
        (f"?datetime={AT}", some),
    ):
        drawn.clear()
        assert doors.client.get(f"{TILE}{query}", headers=headers).status_code == 200
        assert len(drawn) == 1, (query, headers)
