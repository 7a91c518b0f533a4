"""What every test shares: one private PostGIS a run, databases copied from a template, STRICT."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from hypothesis import settings

from layers.servers.embedded import EmbeddedError, running_cluster
from layers.store import Store, open_store
from services.demo.city import City, load_city, read_city
from tests.databases import Databases

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "deploy" / "demo"
SHARED = ROOT.parent / "shared"

# In CI the same examples each time: new ones are looked for by people, who can look at them.
settings.register_profile("default", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.register_profile("long", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


# QGIS is no package of `make setup-test`, and takes minutes: `make qgis` installs and asks it. Not
# collected elsewhere, its tests are no skips there.
HAS_QGIS = os.environ.get("QGIS") == "1"
collect_ignore = [] if HAS_QGIS else ["qgis"]


def pytest_report_header() -> str | None:
    """Say what is not collected, and why."""
    return None if HAS_QGIS else "tests/qgis is left out: make qgis installs QGIS and runs it"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """With STRICT=1 a skip is a failure: every test of this machine must run."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("STRICT") == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"STRICT=1 allows no skip: {report.longrepr}"


@pytest.fixture(scope="session")
def server_dsn() -> Iterator[str]:
    """The address of a PostGIS server: DATABASE_URL's, or a private cluster for this run."""
    with ExitStack() as stack:
        dsn = os.environ.get("DATABASE_URL")
        if not dsn:
            try:
                data = Path(stack.enter_context(TemporaryDirectory(prefix="shikong-tests-")))
                # Run as root, the server is user postgres's, who must be able to come in.
                data.chmod(0o755)
                dsn = stack.enter_context(running_cluster(data, durable=False))
            except EmbeddedError as error:
                pytest.skip(f"no PostGIS to test on: {error}")
        yield dsn


@pytest.fixture(scope="session")
def make_database(server_dsn: str) -> Iterator[Databases]:
    """Makes databases, empty or copied from another, and drops them at the end."""
    with psycopg.connect(server_dsn, autocommit=True) as server:
        databases = Databases(server_dsn, server)
        yield databases
        databases.drop_all()


@pytest.fixture(scope="session")
def empty_template(make_database: Databases) -> str:
    """The address of a database with an empty store, to copy and never to write."""
    dsn = make_database()
    open_store(dsn).close()
    return dsn


@pytest.fixture(scope="session")
def city() -> City:
    """The demo city's description."""
    return read_city(DEMO / "city.toml")


@pytest.fixture(scope="session")
def demo_template(make_database: Databases, city: City) -> str:
    """The address of a database with the whole demo city, to copy and never to write."""
    dsn = make_database()
    with closing(open_store(dsn)) as store:
        load_city(store, city, lambda line: None)
    return dsn


@pytest.fixture(scope="session")
def demo_store(demo_template: str, make_database: Databases) -> Iterator[Store]:
    """The demo city, for tests that only read."""
    with make_database.passing(demo_template) as dsn, closing(open_store(dsn)) as store:
        yield store


@pytest.fixture
def store(empty_template: str, make_database: Databases) -> Iterator[Store]:
    """An empty store of this test's own."""
    with make_database.passing(empty_template) as dsn, closing(open_store(dsn)) as opened:
        yield opened


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of files that may not be copied into the project."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the shared data folder is absent: it holds files that may not be copied here")
    return SHARED
