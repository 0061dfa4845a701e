"""Each channel against a local server of its protocol: what it says there, and what it makes of every answer."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any
from uuid import UUID

import http_ece
import pytest
import trustme
from aiosmtpd.controller import Controller
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from py_vapid import Vapid02
from pydantic import SecretStr, ValidationError

from alerts.channels import Channel, Undelivered
from alerts.channels.choice import make_channels
from alerts.channels.guarded import Guarded, allowed_origin, may_reach, public, retry_after, shown, wanted_origin
from alerts.channels.line import LineChannel, clip, retry_key
from alerts.channels.log import LogChannel
from alerts.channels.slack import SlackChannel
from alerts.channels.smtp import SmtpChannel
from alerts.channels.teams import TeamsChannel
from alerts.channels.webhook import WebhookChannel, signature
from alerts.channels.webpush import WebPushChannel, push_message
from kawamori.errors import ConfigurationError
from kawamori.operate.servers import free_port
from kawamori.settings import AlertSettings
from kawamori.storage.outbox import Notification

AT = datetime(2026, 7, 14, 2, 14, tzinfo=UTC)
TOKEN = "t0kent0kent0ken"
SECRET = "T0SECRET/B0SECRET/kXyZ0123456789"
LINE = "【L4 氾濫危険】荒川青柳橋 4.52m（基準4.45）↑12cm/10分 02:14 自動判定"
PATIENCE = timedelta(seconds=0.5)


def notification(**more: Any) -> Notification:
    values = {
        "id": 7, "alert_id": 3, "incident_id": 12, "contact_id": "duty", "channel": "x", "recipient": "",
        "event": "raised", "idempotency_key": "i12-n40-duty", "subject": LINE,
        "body": f"{LINE}\n\n基準水位超過（自動判定）・暫定値\n荒川 青柳橋",
        "payload": {
            "alerts": [{"id": 3, "station_id": "aoyagi", "flood_level": 4, "value_m": 4.52}], "incident_id": 12,
            "status": "actual", "language": "ja", "link": "https://kawamori.city.example",
            "acknowledge_link": "https://kawamori.city.example/acknowledge/abc&d",
        },
        "created_at": AT, "attempts": 0,
    } | more  # fmt: skip
    return Notification(**values)


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes


Reply = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Other:
    """An HTTP server that keeps what it was sent, and answers as the test says."""

    answer: bytes | Reply = b""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if callable(self.answer):
                await self.answer(reader, writer)
                return
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.requests.append(Request(head[0], headers, body))
            writer.write(self.answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.close()


def http(status: str, body: bytes = b"ok", **headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {len(body)}",
        *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


OK = http("200 OK")


@pytest.fixture
async def other() -> AsyncIterator[Other]:
    """The other side, which says yes."""
    one = Other(OK)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    yield one
    server.close()


class Browser:
    """Somebody's browser: its keys, and what it reads of a push message."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.auth = os.urandom(16)

    def subscription(self, endpoint: str) -> str:
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": packed(point), "auth": packed(self.auth)}
        return json.dumps({"endpoint": endpoint, "expirationTime": None, "keys": keys})

    def read(self, body: bytes) -> dict[str, Any]:
        text = http_ece.decrypt(body, private_key=self.key, auth_secret=self.auth, version="aes128gcm")
        found: dict[str, Any] = json.loads(text)
        return found


def packed(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def subscribed(key: Any, auth: Any) -> str:
    return json.dumps({"endpoint": "https://a", "keys": {"p256dh": key, "auth": auth}})


BROWSER = Browser()
VAPID = ec.generate_private_key(ec.SECP256R1())
PEM = VAPID.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
RAW = packed(VAPID.private_numbers().private_value.to_bytes(32))


def settings(**more: Any) -> AlertSettings:
    values: dict[str, Any] = {
        "webhook_hosts": ["hooks.city.example"], "webhook_secret": SecretStr("s3cret"),
        "line_token": SecretStr(TOKEN), "vapid_private_key": SecretStr(PEM), "vapid_subject": "mailto:d@city.example",
        "public_url": "https://kawamori.city.example",
    } | more  # fmt: skip
    return AlertSettings(**values)


def reaching(name: str, url: str, **more: Any) -> tuple[Channel, Notification]:
    """A channel that may reach a server, and a notification that is to go there; the URL holds a secret."""
    guarded = Guarded([url], patience=PATIENCE)
    s = settings(line_url=url, **more)
    secret = f"{url}/services/{SECRET}?sig={SECRET[-10:]}"
    channel, recipient = {
        "webhook": lambda: (WebhookChannel(s, guarded, lambda: AT), secret),
        "line": lambda: (LineChannel(s, guarded), "U0123456789abcdef"),
        "slack": lambda: (SlackChannel(guarded), secret),
        "teams": lambda: (TeamsChannel(guarded), secret),
        "webpush": lambda: (WebPushChannel(s, guarded), BROWSER.subscription(secret)),
    }[name]()
    return channel, notification(channel=name, recipient=recipient)


HTTP_CHANNELS = ("webhook", "line", "slack", "teams", "webpush")
over_http = pytest.mark.parametrize("name", HTTP_CHANNELS)


async def refused(channel: Channel, message: Notification) -> Undelivered:
    with pytest.raises(Undelivered) as caught:
        await channel.send(message)
    return caught.value


HIDDEN = "\u2028\u2029\x85\x0b\x1c\u202e\u2066\u200f\ufeff\x00\x1b"


def typed_by_a_person(text: str) -> dict[str, Any]:
    """A subject, a body and a station's name with hidden characters inside."""
    return {
        "subject": f"{LINE[:10]}{text}{LINE[10:]}", "body": f"{LINE}{text}下",
        "payload": {"alerts": [{"id": 3, "station_id": "a", "station": {"ja": f"青{text}柳"}}], "status": "actual"},
    }  # fmt: skip


@pytest.mark.parametrize("name", ["webhook", "line", "slack", "teams"])
async def test_no_hidden_character_reaches_anybody_over_http(name: str, other: Other) -> None:
    other.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    channel, message = reaching(name, other.url)
    await channel.send(replace(message, **typed_by_a_person(HIDDEN)))
    said = json.dumps(json.loads(other.requests[0].body), ensure_ascii=False)
    assert not set(HIDDEN) & set(said)
    assert not any(f"\\u{ord(c):04x}" in said for c in HIDDEN)


async def test_no_hidden_character_reaches_a_browser_or_the_log(tmp_path: Path) -> None:
    message = notification(**typed_by_a_person(HIDDEN))
    said = json.dumps(json.loads(push_message(message)), ensure_ascii=False)
    assert not any(f"\\u{ord(c):04x}" in said or c in said for c in HIDDEN)
    await LogChannel(tmp_path / "log").send(message)
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert not set(HIDDEN) & set(line)


# What every channel over HTTP has in common.


@over_http
@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted", "204 No Content"])
async def test_a_yes_is_delivered_and_its_receipt_is_returned(name: str, status: str, other: Other) -> None:
    other.answer = http(status, b"" if status.startswith("204") else b"ok")
    channel, message = reaching(name, other.url)
    assert (await channel.send(message)).startswith(status[:3])
    (request,) = other.requests
    assert request.line.startswith("POST /")
    assert request.headers["host"] == f"127.0.0.1:{other.port}"


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def dripping_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for letter in OK:
        writer.write(bytes([letter]))
        await writer.drain()
        await asyncio.sleep(0.1)


async def parrot(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(http("403 Forbidden", b"no: " + await reader.readuntil(b"\r\n\r\n")))
    await writer.drain()


ODD = {
    "slow": (silent, False, "no answer within 0.5 s"),
    "slower with every letter": (dripping_head, False, "no answer within 0.5 s"),
    "hangs up": (closing, False, "did not answer in HTTP"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n\x00\xff\xfe", False, "did not answer in HTTP"),
    "an endless header": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000, False, "did not answer in HTTP"),
    "a status that is none": (http("999999 ?"), False, "did not answer in HTTP"),
    "429": (http("429 Too Many Requests", b"slow down", Retry_After="120"), False, "429 slow down"),
    "500": (http("500 Internal Server Error", b"\x00\xff oops\nat line 1"), False, "500"),
    "502": (http("502 Bad Gateway", b"<html>bad gateway</html>"), False, "502 <html>bad gateway"),
    "503 until later": (http("503 Unavailable", b"", Retry_After="30"), False, "503"),
    "400": (http("400 Bad Request", b"invalid_payload"), True, "400 invalid_payload"),
    "401": (http("401 Unauthorized"), True, "401"),
    "404": (http("404 Not Found", b"no_service"), True, "404 no_service"),
    "410": (http("410 Gone"), True, "410"),
    "elsewhere": (http("302 Found", b"", Location="http://127.0.0.1:1/"), True, "redirects are not followed"),
    "elsewhere, the same way": (http("308 Permanent", b"", Location="//inside/"), True, "redirects are not followed"),
    "repeats what it was sent": (parrot, True, "403 no: POST …"),
}  # fmt: skip


@over_http
@pytest.mark.parametrize("odd", ODD)
async def test_what_goes_wrong_says_why_and_whether_to_come_again_and_gives_no_secret_away(
    name: str, odd: str, other: Other, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    other.answer, permanent, words = ODD[odd]
    channel, message = reaching(name, other.url)
    error = await refused(channel, message)
    assert words in str(error)
    assert error.permanent == permanent
    assert error.retry_after == {"429": timedelta(seconds=120), "503 until later": timedelta(seconds=30)}.get(odd)
    assert other.connections == 1, "once, and nowhere else"
    for secret in (SECRET, SECRET[-10:], TOKEN, "s3cret"):
        assert secret not in str(error)
        assert secret not in "".join(r.getMessage() for r in caplog.records if r.name.startswith(("httpx", "alerts")))


@over_http
async def test_a_server_that_is_down_is_tried_again(name: str) -> None:
    channel, message = reaching(name, f"http://127.0.0.1:{free_port()}")
    error = await refused(channel, message)
    assert "does not take the connection" in str(error)
    assert not error.permanent


@over_http
async def test_an_answer_without_end_is_a_yes_all_the_same(name: str, other: Other) -> None:
    """The status line says that they have it: to send it again would tell them twice."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    other.answer = endless
    channel, message = reaching(name, other.url)
    assert len(await channel.send(message)) < 300


async def test_an_answer_that_breaks_off_after_the_status_is_a_yes(other: Other) -> None:
    other.answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 5000\r\n\r\nhalf"
    channel, message = reaching("webhook", other.url)
    assert await channel.send(message) == "202 half"


async def test_proxies_of_the_environment_are_not_used(other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    channel, message = reaching("webhook", other.url)
    assert await channel.send(message) == "200 ok"


@pytest.mark.parametrize("name", ["smtp", "webhook", "line", "webpush"])
async def test_a_channel_that_is_not_set_up_refuses_and_says_what_to_set(name: str) -> None:
    channel = {channel.name: channel for channel in make_channels(AlertSettings())}[name]
    error = await refused(channel, notification(recipient=BROWSER.subscription("https://fcm.googleapis.com/x")))
    assert error.permanent
    assert "KAWAMORI_ALERTS__" in str(error)


def test_a_site_has_every_channel() -> None:
    assert [channel.name for channel in make_channels(AlertSettings())] == ["log", "smtp", *HTTP_CHANNELS]


# The guard.


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:{port}/x", "not on the list"),
        ("http://localhost:{port}/x", "leads inside the network"),
        ("https://localhost:{port}/x", "not on the list"),
        ("http://hooks.city.example/x", "not on the list"),
        ("http://localhost:{port}@127.0.0.1:{port}/x", "not a URL"),
        ("http://localhost:{port}\\@127.0.0.1/x", "not a URL"),
        ("http://localhost:{port}/a b", "not a URL"),
        ("http://localhost:{port}/\r\nHost: other", "not a URL"),
        ("http://localhost:99999/", "not a URL"),
        ("ftp://localhost:{port}/x", "not a URL"),
        ("file:///etc/passwd", "not a URL"),
        ("", "not a URL"),
        ("hooks.city.example", "not a URL"),
    ],
)
async def test_nothing_goes_where_the_list_does_not_lead(url: str, why: str, other: Other) -> None:
    """`localhost` is listed as a name, which does not open what lies inside; nor does the list open other ports."""
    guarded = Guarded([f"http://localhost:{other.port}", "hooks.city.example"])
    with pytest.raises(Undelivered, match=why) as caught:
        await guarded.post(url.format(port=other.port), b"", {})
    assert caught.value.permanent
    assert other.connections == 0


async def test_a_name_that_leads_inside_is_reached_where_the_address_is_listed_too(other: Other) -> None:
    guarded = Guarded([f"http://localhost:{other.port}", f"http://127.0.0.1:{other.port}"])
    assert (await guarded.post(f"http://localhost:{other.port}/x", b"", {})).status == 200
    assert other.requests[0].headers["host"] == f"localhost:{other.port}"


async def test_an_inner_address_is_opened_with_its_port_alone(other: Other) -> None:
    guarded = Guarded([f"http://localhost:{other.port}", "127.0.0.1", "http://127.0.0.1:1"])
    with pytest.raises(Undelivered, match="leads inside the network"):
        await guarded.post(f"http://localhost:{other.port}/x", b"", {})
    assert other.connections == 0


@pytest.mark.parametrize(
    "address",
    ["192.0.0.8", "192.0.0.170", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "3fff::1", "5f00::1",
     "100::1", "64:ff9b:1::1", "2001:2::1",
     "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
     "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "::1", "::", "fe80::1%eth0", "fc00::1", "fd12::1",
     "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
     "::127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::1", "2001:db8::1", "fec0::1"],
)  # fmt: skip
def test_addresses_that_are_not_of_the_public_internet_are_known(address: str) -> None:
    assert not public(address)
    assert not may_reach(address, 443, [allowed_origin("hooks.city.example"), allowed_origin("192.168.99.99")])
    bare = address.partition("%")[0]
    listed = [allowed_origin(f"[{bare}]:8443" if ":" in bare else f"{bare}:8443")]
    assert may_reach(address, 8443, listed), "listed as an address"
    assert not may_reach(address, 443, listed), "the address is listed with another port"


@pytest.mark.parametrize("address", ["8.8.8.8", "203.119.1.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses_are_known(address: str) -> None:
    assert public(address)


@pytest.mark.parametrize(
    ("entry", "url", "admitted"),
    [
        ("hooks.city.example", "https://hooks.city.example/x", True),
        ("hooks.city.example", "https://HOOKS.city.example.:443/x", True),
        ("hooks.city.example", "https://hooks.city.example:8443/x", False),
        ("hooks.city.example", "http://hooks.city.example/x", False),
        ("hooks.city.example", "https://evil-hooks.city.example/x", False),
        ("hooks.city.example", "https://hooks.city.example.evil/x", False),
        ("*.city.example", "https://a.b.city.example/x", True),
        ("*.city.example", "https://city.example/x", False),
        ("*.city.example", "https://evilcity.example/x", False),
        ("10.0.0.5:8443", "https://10.0.0.5:8443/x", True),
        ("http://10.0.0.5:8080", "http://10.0.0.5:8080/x", True),
        ("[fd00::5]:8443", "https://[fd00::5]:8443/x", True),
    ],
)
def test_the_list_means_what_it_says(entry: str, url: str, admitted: bool) -> None:
    assert AlertSettings(webhook_hosts=[entry]).webhook_hosts == [entry]
    assert allowed_origin(entry).admits(wanted_origin(url)[0]) is admitted


@pytest.mark.parametrize("entry", ["https://a/path", "a b", "ftp://a", "user@a", "", "*"])
def test_a_list_that_means_nothing_is_refused_when_the_service_starts(entry: str) -> None:
    with pytest.raises(ValidationError):
        AlertSettings(webhook_hosts=[entry])


def test_a_port_that_is_none_is_refused_when_the_service_starts() -> None:
    with pytest.raises(ConfigurationError, match="WEBHOOK_HOSTS"):
        make_channels(AlertSettings(webhook_hosts=["hooks.city.example:99999"]))


@pytest.fixture
async def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Other]:
    """hooks.city.example over TLS, by an authority that this machine trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.city.example").configure_cert(context)
    one = Other(OK, scheme="https")
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=context)
    one.port = server.sockets[0].getsockname()[1]
    yield one
    server.close()


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Names lead to these addresses, one after the other; returns which names were asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        address = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


async def test_a_name_is_resolved_once_and_the_checked_address_is_connected_to_under_its_name(
    secure: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = Guarded([f"hooks.city.example:{secure.port}", f"127.0.0.1:{secure.port}"])
    asked = resolving(monkeypatch, "127.0.0.1", "127.0.0.2")
    answer = await guarded.post(f"https://hooks.city.example:{secure.port}/x", b"{}", {})
    assert answer.status == 200
    assert asked == ["hooks.city.example"], "what it leads to afterwards does not matter"
    assert secure.requests[0].headers["host"] == f"hooks.city.example:{secure.port}"


async def test_a_certificate_for_another_name_is_refused(secure: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "127.0.0.1")
    guarded = Guarded([f"other.city.example:{secure.port}", f"127.0.0.1:{secure.port}"])
    with pytest.raises(Undelivered, match=r"does not take the connection.*other\.city\.example"):
        await guarded.post(f"https://other.city.example:{secure.port}/x", b"{}", {})
    assert secure.requests == []


async def test_names_that_do_not_resolve_hold_up_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hang = asyncio.Event()
    loop = asyncio.get_running_loop()

    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        asyncio.run_coroutine_threadsafe(hang.wait(), loop).result()
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    guarded = Guarded(["hooks.city.example"], patience=PATIENCE)
    posts = [asyncio.create_task(guarded.post("https://hooks.city.example/x", b"", {})) for _ in range(20)]
    async with asyncio.timeout(0.4):
        await LogChannel(tmp_path / "log").send(notification())
    errors = await asyncio.gather(*posts, return_exceptions=True)
    assert all(isinstance(error, Undelivered) and not error.permanent for error in errors)
    hang.set()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), ("0", 0), (" 7 ", 7), ("Tue, 14 Jul 2026 02:16:00 GMT", 120), ("Tue, 14 Jul 2026 02:10:00 GMT", 0),
     ("soon", None), ("-5", None), ("1e9", None), ("", None), (None, None), ("99999999999999999999", None)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, AT) == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text(max_size=50))
def test_no_retry_after_breaks_anything(text: str) -> None:
    found = retry_after(text, AT)
    assert found is None or found >= timedelta(0)


@given(st.binary(max_size=2000))
def test_whatever_was_answered_is_one_printable_line(body: bytes) -> None:
    text = shown(body, "/services/T0SECRET")
    assert text.isprintable()
    assert len(text) <= 200
    text.encode()


# What each says.


async def test_a_webhook_is_a_signed_cloud_event(other: Other) -> None:
    channel, message = reaching("webhook", other.url)
    await channel.send(message)
    (request,) = other.requests
    assert request.line == f"POST /services/{SECRET}?sig={SECRET[-10:]} HTTP/1.1"
    assert request.headers["content-type"].startswith("application/cloudevents+json")
    stamp = request.headers["x-kawamori-timestamp"]
    assert int(stamp) == AT.timestamp()
    expected = hmac.new(b"s3cret", stamp.encode() + b"." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-kawamori-signature"] == f"v1={expected}"
    event = json.loads(request.body)
    assert {k: event[k] for k in ("specversion", "id", "source", "type", "time", "subject")} == {
        "specversion": "1.0", "id": "i12-n40-duty", "source": "https://kawamori.city.example",
        "type": "jp.kawamori.alert.raised", "time": "2026-07-14T02:14:00+00:00", "subject": "aoyagi",
    }  # fmt: skip
    assert event["data"]["alerts"][0]["flood_level"] == 4
    assert event["data"]["status"] == "actual"
    assert event["data"]["body"] == message.body


async def test_a_webhook_without_a_secret_is_not_signed_and_one_without_a_payload_goes_out(other: Other) -> None:
    channel, message = reaching("webhook", other.url, webhook_secret=None)
    await channel.send(replace(message, payload={}))
    assert "x-kawamori-signature" not in other.requests[0].headers
    assert "subject" not in json.loads(other.requests[0].body)


def test_another_body_time_or_key_has_another_signature() -> None:
    signatures = {
        signature(*v) for v in [("k", 1, b"a"), ("k", 1, b"b"), ("k", 2, b"a"), ("l", 1, b"a"), ("k", 1, b"")]
    }
    assert len(signatures) == 5


async def test_line_gets_one_text_under_one_key_at_every_attempt(other: Other) -> None:
    channel, message = reaching("line", other.url)
    other.answer = http("200 OK", b'{"sentMessages":[]}', X_Line_Request_Id="r-1")
    assert await channel.send(message) == "200 r-1"
    other.answer = http("409 Conflict", b'{"message":"already accepted"}', X_Line_Accepted_Request_Id="r-1")
    assert await channel.send(message) == "409 accepted before r-1", "they have it: delivered"
    first, second = other.requests
    assert first.line == "POST /v2/bot/message/push HTTP/1.1"
    assert first.headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(first.body) == {
        "to": "U0123456789abcdef", "messages": [{"type": "text", "text": message.body}]
    }  # fmt: skip
    keys = {request.headers["x-line-retry-key"] for request in other.requests}
    assert keys == {retry_key("i12-n40-duty")}
    assert str(UUID(keys.pop()))
    assert first.body == second.body


@given(st.text(max_size=60), st.integers(1, 40))
def test_a_text_for_line_is_clipped_between_characters(text: str, most: int) -> None:
    text = text.encode("utf-8", "ignore").decode()
    clipped = clip(text, most)
    assert len(clipped.encode("utf-16-le")) <= 2 * most
    assert clipped == text or text.startswith(clipped.removesuffix("…"))


async def test_slack_gets_plain_text_in_which_nothing_is_mark_up(other: Other) -> None:
    channel, message = reaching("slack", other.url)
    await channel.send(
        replace(message, subject="<!channel> & 川", body="<!channel> & 川\n*x* <http://evil|川守>" + "長" * 5000)
    )
    sent = json.loads(other.requests[0].body)
    assert sent["text"] == "&lt;!channel&gt; &amp; 川"
    header, section, links = sent["blocks"]
    assert header["text"] == {"type": "plain_text", "text": "<!channel> & 川", "emoji": False}
    assert section["text"]["type"] == "plain_text"
    assert len(section["text"]["text"]) <= 3000
    assert "<https://kawamori.city.example/acknowledge/abc&amp;d|確認した（この件だけ）>" in links["text"]["text"]
    assert sent["unfurl_links"] is False, "a preview would answer for somebody"


async def test_teams_gets_a_card_in_which_nothing_is_mark_up(other: Other) -> None:
    channel, message = reaching("teams", other.url)
    await channel.send(replace(message, body=message.body + "\n[x](http://evil)\n" + "長い行\n" * 5000))
    assert len(other.requests[0].body) <= 28_000
    (attachment,) = json.loads(other.requests[0].body)["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    texts = [inline["text"] for block in card["body"] for inline in block["inlines"]]
    assert texts[:2] == [LINE, "基準水位超過（自動判定）・暫定値"]
    assert all(block["type"] == "RichTextBlock" for block in card["body"])
    assert [action["url"] for action in card["actions"]] == [
        "https://kawamori.city.example", "https://kawamori.city.example/acknowledge/abc&d"
    ]  # fmt: skip


@pytest.mark.parametrize("key", [PEM, PEM.replace("\n", "\\n"), RAW], ids=["PEM", "PEM in one line", "base64url"])
async def test_a_browser_reads_the_push_message_and_its_maker_only_who_sends(key: str, other: Other) -> None:
    other.answer = http("201 Created", b"")
    channel, message = reaching("webpush", other.url, vapid_private_key=SecretStr(key))
    assert await channel.send(message) == "201"
    assert await channel.send(message) == "201"
    request, again = other.requests
    assert b"kawamori" not in request.body
    read = BROWSER.read(request.body)
    assert (read["title"], read["key"], read["status"]) == (LINE, "i12-n40-duty", "actual")
    assert read["body"].startswith("基準水位超過")
    assert read["acknowledge_link"].endswith("/acknowledge/abc&d")
    assert request.headers["content-encoding"] == "aes128gcm"
    assert request.headers["urgency"] == "high"
    assert int(request.headers["ttl"]) >= 3600
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,32}", request.headers["topic"])
    assert request.headers["topic"] == again.headers["topic"]
    assert Vapid02.verify(request.headers["authorization"])
    claims = json.loads(base64.urlsafe_b64decode(request.headers["authorization"].split(".")[1] + "=="))
    assert claims["aud"] == other.url
    assert claims["sub"] == "mailto:d@city.example"


@given(st.text(max_size=6000))
def test_a_push_message_fits_whatever_it_says(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    body = push_message(notification(body=text))
    assert len(body) <= 4096 - 103
    assert json.loads(body)["title"] == LINE


async def test_the_longest_push_message_is_taken_by_encryption(other: Other) -> None:
    channel, message = reaching("webpush", other.url)
    await channel.send(replace(message, body="長い" * 5000))
    assert len(other.requests[0].body) <= 4096
    assert BROWSER.read(other.requests[0].body)["body"].endswith("…")


@pytest.mark.parametrize(
    "recipient",
    ["", "x", "[]", "{}", '{"endpoint": "https://a"}', subscribed("BA", "AA"), subscribed(5, None),
     subscribed(packed(b"\x04" + b"\x01" * 64), packed(b"a" * 16))],
)  # fmt: skip
async def test_what_is_no_subscription_is_refused(recipient: str, other: Other) -> None:
    channel, message = reaching("webpush", other.url)
    error = await refused(channel, replace(message, recipient=recipient))
    assert str(error) == "not a subscription to Web Push"
    assert error.permanent


@pytest.mark.parametrize(
    ("more", "words"),
    [({"vapid_private_key": SecretStr("nonsense")}, "cannot be read"), ({"vapid_subject": "duty"}, "must look like"),
     ({"vapid_private_key": SecretStr("-----BEGIN X-----\nAAAA\n-----END X-----")}, "cannot be read")],
)  # fmt: skip
async def test_a_key_that_is_none_is_said_to_be_none(more: Any, words: str, other: Other) -> None:
    channel, message = reaching("webpush", other.url, **more)
    error = await refused(channel, message)
    assert words in str(error)
    assert error.permanent
    assert "nonsense" not in str(error)


# Mail.


class Mailbox:
    """A mail server that answers the recipient, and the message, as the test says."""

    def __init__(self) -> None:
        self.rcpt, self.data = "250 OK", "250 2.0.0 queued as 4F2A"
        self.mails: list[Any] = []
        self.slow: asyncio.Event | None = None

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if self.rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=default)))
        return self.data


@pytest.fixture
async def mailbox() -> AsyncIterator[tuple[Mailbox, SmtpChannel]]:
    box, port = Mailbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, SmtpChannel(AlertSettings(smtp_host="127.0.0.1", smtp_port=port, mail_from="kawamori@city.example"))
    controller.stop()


def mail(**more: Any) -> Notification:
    return notification(channel="smtp", recipient="duty@city.example", **more)


async def test_a_mail_carries_its_key_its_thread_and_its_status(mailbox: tuple[Mailbox, SmtpChannel]) -> None:
    box, channel = mailbox
    assert "queued as 4F2A" in await channel.send(mail(payload={"status": "exercise"}))
    await channel.send(mail(payload={"status": "exercise"}))
    (to, first), (_, again) = box.mails
    assert to == ["duty@city.example"]
    assert first["Subject"] == LINE
    assert first.get_content().splitlines() == mail().body.splitlines()
    assert first["Message-ID"] == again["Message-ID"] == "<i12-n40-duty@city.example>"
    assert first["In-Reply-To"] == first["References"] == "<incident-12@city.example>"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["X-Kawamori-Status"] == "exercise"


async def test_no_header_can_be_smuggled_into_a_mail(mailbox: tuple[Mailbox, SmtpChannel]) -> None:
    box, channel = mailbox
    smuggled = {"status": "x\r\nBcc: z@evil.example"}
    await channel.send(mail(subject="a\r\nBcc: x@evil.example\0", idempotency_key="k\r\nBcc: y", payload=smuggled))
    ((to, got),) = box.mails
    assert to == ["duty@city.example"]
    assert got["Bcc"] is None
    error = await refused(channel, replace(mail(), recipient="duty@city.example\r\nBcc: x@evil.example"))
    assert error.permanent


@pytest.mark.parametrize("hidden", [*HIDDEN, HIDDEN])
async def test_hidden_characters_neither_stop_a_mail_nor_turn_it_round(
    hidden: str, mailbox: tuple[Mailbox, SmtpChannel]
) -> None:
    box, channel = mailbox
    await channel.send(mail(**typed_by_a_person(hidden)))
    ((to, got),) = box.mails
    assert to == ["duty@city.example"]
    assert got["Subject"].replace(" ", "") == LINE.replace(" ", "")
    assert len(got["Subject"].splitlines()) == 1
    assert not set(HIDDEN) & set(got.get_content())


async def test_a_mail_that_cannot_be_made_is_not_blamed_on_the_address(mailbox: tuple[Mailbox, SmtpChannel]) -> None:
    box, _ = mailbox
    channel = SmtpChannel(AlertSettings(smtp_host="127.0.0.1", smtp_port=1, mail_from="a\nb@city.example"))
    error = await refused(channel, mail())
    assert "not an e-mail address" not in str(error)
    assert not error.permanent
    assert not box.mails


@pytest.mark.parametrize(
    ("rcpt", "data", "permanent", "words"),
    [
        ("550 no such user", "250 OK", True, "recipient refused: [550]"),
        ("451 greylisted, come again", "250 OK", False, "recipient refused: [451]"),
        ("250 OK", "451 try again later", False, "451 try again later"),
        ("250 OK", "554 rejected as spam", True, "554 rejected as spam"),
        ("250 OK", "421 shutting down", False, "421"),
    ],
)
async def test_a_mail_server_that_says_no_is_understood(
    rcpt: str, data: str, permanent: bool, words: str, mailbox: tuple[Mailbox, SmtpChannel]
) -> None:
    box, channel = mailbox
    box.rcpt, box.data = rcpt, data
    error = await refused(channel, mail())
    assert words in str(error)
    assert error.permanent == permanent


@pytest.mark.parametrize(
    "what", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\xff\xfe\r\n", b"", b"220 ok\r\n\xff\xff\r\n"]
)
async def test_a_mail_server_that_is_none_is_tried_again(what: bytes, other: Other) -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(what)
        await writer.drain()

    other.answer = garbage
    error = await refused(SmtpChannel(AlertSettings(smtp_host="127.0.0.1", smtp_port=other.port)), mail())
    assert not error.permanent


async def test_a_mail_server_that_is_down_is_tried_again() -> None:
    error = await refused(SmtpChannel(AlertSettings(smtp_host="127.0.0.1", smtp_port=free_port())), mail())
    assert not error.permanent


# The log.


async def test_the_log_holds_its_lines_in_the_order_in_which_they_were_sent(tmp_path: Path) -> None:
    channel = LogChannel(tmp_path / "log")
    await asyncio.gather(*(channel.send(notification(id=n)) for n in range(200)))
    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == list(range(200))


async def test_a_line_is_synced_and_a_disk_that_takes_none_is_said_to(tmp_path: Path) -> None:
    channel = LogChannel(tmp_path / "log")
    assert await channel.send(notification()) == "written and synced"
    (line,) = (tmp_path / "log").read_text("utf-8").splitlines()
    assert json.loads(line)["idempotency_key"] == "i12-n40-duty"
    error = await refused(LogChannel(tmp_path), notification())
    assert "disk" in str(error)
    assert not error.permanent
