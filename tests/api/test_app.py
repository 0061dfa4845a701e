"""Errors, documentation, the page and its headers, and the ports."""

import asyncio
import json
import socket
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from api.auth.actors import Auth
from api.contract import schemas
from api.dependencies import Dependencies
from api.live.stream import Hub, LiveFeed
from api.pages.console import SECURITY_HEADERS, Page, SecurityHeaders, docs_html, page_version
from api.registry_cache import RegistryCache
from api.service import listener
from kawamori.observe import Health
from kawamori.runtime import now
from kawamori.settings import SiteSettings
from kawamori.storage.database import Database

SNAPSHOT = Path(__file__).parent / "openapi.json"
NOBODY = "postgresql://nobody@127.0.0.1:9/none"


def app_of(database: Database, page: Path | None = None):
    directory = RegistryCache(database, now)
    feed = LiveFeed(database, directory, now, Hub())
    using = Dependencies(database=database, directory=directory, feed=feed, clock=now, site=SiteSettings(),
                         auth=Auth(database, open_to_all=False))  # fmt: skip
    return create_app(using, Health(), page)


def ask(app, method: str, path: str, **more) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://kawamori") as client:
            return await client.request(method, path, **more)

    return asyncio.run(send())


@pytest.fixture
def app():
    return app_of(Database(NOBODY, "test"))


@pytest.fixture
def built(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>the page")
    (tmp_path / "assets" / "main-abc123.js").write_text("1")
    return app_of(Database(NOBODY, "test"), tmp_path)


def test_the_contract_is_the_one_written_down(app):
    """A wanted change: write the new contract with `python tests/api/test_app.py`, and read the difference."""
    assert app.openapi() == json.loads(SNAPSHOT.read_text())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/v1/nothing", 404), ("GET", "/api", 404), ("PUT", "/api/v1/levels/latest", 415), ("POST", "/", 405),
     ("GET", "/nothing.js", 404), ("GET", "/api/v1/alerts?limit=many", 422), ("GET", "/api/v1/alerts/0", 422)],
)  # fmt: skip
def test_every_error_is_a_problem(built, method, path, status):
    response = ask(built, method, path)
    problem = schemas.Problem.model_validate_json(response.content)
    assert (response.status_code, problem.status) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    if status == 405:
        assert "GET" in response.headers["allow"]


def test_a_failure_tells_the_caller_nothing_of_the_inside(app):
    @app.get("/broken")
    async def broken() -> None:
        raise KeyError("secret")

    response = ask(app, "GET", "/broken")
    assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in response.text


@pytest.mark.integration
def test_a_database_that_is_away_means_try_again(serve_again, rows):
    with serve_again() as api:
        name = rows.url.rsplit("/", 1)[-1]
        admin = rows.url.rsplit("/", 1)[0] + "/kawamori"
        type(rows)(admin).sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        type(rows)(admin).sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)
        try:
            response = api.get("/levels/latest")
            assert (response.status_code, response.headers["retry-after"]) == (503, "5")
            assert response.headers["content-type"] == "application/problem+json"
            assert api.get("/system").status_code == 503
            with api.stream("1-1-1-1") as stream:
                assert next(iter(stream))["event"] == "resync"
        finally:
            type(rows)(admin).sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


@pytest.mark.integration
def test_the_operators_questions_are_answered(api, wait_until):
    assert api.http.get("/healthz").text == "alive\n"
    wait_until(lambda: api.http.get("/readyz").status_code == 200, 5, "the service is ready")
    assert "kawamori_api_stream_clients" in api.http.get("/metrics").text


def test_the_documentation_asks_no_other_host(app):
    response = ask(app, "GET", "/api/docs")
    assert response.status_code == 200
    assert "http" not in response.text.replace("http-equiv", "")
    assert "<script" not in response.text
    assert all(path in response.text for path in app.openapi()["paths"])
    assert ask(app, "GET", "/api/docs.css").headers["content-type"].startswith("text/css")
    assert "&lt;b&gt;" in docs_html({**app.openapi(), "info": {"description": "<b>"}})


@pytest.mark.parametrize("path", ["/", "/api/docs", "/assets/main-abc123.js", "/api/v1/site", "/nothing.js"])
def test_every_answer_carries_the_security_headers(built, path):
    headers = ask(built, "GET", path).headers
    assert {name: headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "unsafe" not in headers["content-security-policy"]


def test_the_page_is_asked_for_each_time_and_its_parts_kept_for_ever(built):
    for path in ("/", "/stations/bridge", "/index.html"):
        response = ask(built, "GET", path)
        assert (response.text, response.headers["cache-control"]) == ("<!doctype html>the page", "no-cache")
    assert "immutable" in ask(built, "GET", "/assets/main-abc123.js").headers["cache-control"]
    etag = ask(built, "GET", "/").headers["etag"]
    assert ask(built, "GET", "/", headers={"If-None-Match": etag}).status_code == 304


def test_a_station_whose_id_has_a_dot_has_a_page_of_its_own(built):
    assert ask(built, "GET", "/station/kuji.3").text == "<!doctype html>the page"


def test_the_page_tells_which_build_it_is_and_a_broken_file_tells_nothing(tmp_path):
    assert page_version(None) is None
    assert page_version(tmp_path) is None
    for text, version in (('{"version": "abc"}', "abc"), ("{}", None), ("not json", None)):
        (tmp_path / "version.json").write_text(text)
        assert page_version(tmp_path) == version


def test_what_is_large_travels_small_to_whoever_takes_it_so(built, tmp_path):
    (tmp_path / "assets" / "large-abc.js").write_text("river " * 1000)
    plain = ask(built, "GET", "/assets/large-abc.js", headers={"Accept-Encoding": "identity"})
    small = ask(built, "GET", "/assets/large-abc.js")
    assert "content-encoding" not in plain.headers
    assert (small.headers["content-encoding"], small.text) == ("gzip", plain.text)
    assert int(small.headers.get("content-length") or 0) < 6000
    assert all("Accept-Encoding" in answer.headers["vary"] for answer in (plain, small))
    part = ask(built, "GET", "/assets/large-abc.js", headers={"Range": "bytes=0-4"})
    assert (part.status_code, part.text, part.headers.get("content-encoding")) == (206, "river", None)


def test_no_address_leads_out_of_the_page(built, tmp_path):
    (tmp_path.parent / "secret.txt").write_text("secret")
    for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt", "//etc/hosts.txt"):
        assert ask(built, "GET", path).status_code == 404


def test_a_page_that_was_not_built_says_so_kindly(app):
    response = ask(app, "GET", "/")
    assert response.status_code == 200
    assert "make demo" in response.text


def test_a_taken_port_gives_way_to_the_next_free_one():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with listener("127.0.0.1", port, timedelta(seconds=20)) as found:
            assert port < found.getsockname()[1] <= port + 100


def test_headers_do_not_touch_what_is_no_http():
    seen = []

    async def inner(scope, receive, send):
        seen.append(send)

    async def send(message):
        pass

    asyncio.run(SecurityHeaders(inner)({"type": "lifespan"}, None, send))
    asyncio.run(Page(None)({"type": "websocket"}, None, send))
    assert seen == [send]


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(app_of(Database(NOBODY, "test")).openapi(), indent=1, ensure_ascii=False) + "\n")


def test_an_answer_is_not_held_back_until_the_browser_acknowledges_its_head():
    with (
        listener("127.0.0.1", 20_000, timedelta(seconds=20)) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
