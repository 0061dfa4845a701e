"""HTTP to other people's servers: only hosts that are allowed, only at addresses that were looked at, and no further.

Addresses of webhooks are typed in by people, and the alert service stands inside the city's network. So a host must be
on the list, and a name on it must lead to the public Internet; inside, loopback included, only what is on the list as
an address is reached. A name is resolved once and the connection goes to the address that was looked at, so that a
name which changes its mind in between gains nothing. Redirects and proxies of the environment are not followed.
A URL is often the key itself: no error and no receipt repeats it.
"""

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

import httpx

from alerts.channels import Undelivered
from kawamori.errors import ConfigurationError
from kawamori.runtime import now

#: One delivery takes no longer, name and handshake included.
PATIENCE = timedelta(seconds=10)
_CONNECT_S = 4.0
#: What was answered is read up to here, and for so long: the status line has already said what matters.
_LARGEST_ANSWER = 64 * 1024
_READING_S = 2.0
_SHOWN = 200
_PORTS = {"https": 443, "http": 80}
_URL = re.compile(r"https?://[\x21-\x7e]+", re.IGNORECASE)
#: IANA's IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), as of 2024-10: what is not globally reachable, or
#: leads somewhere else than it says. Python's `is_global` of 3.11 knows the older half of it.
_SPECIAL4 = tuple(
    IPv4Network(net) for net in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
_SPECIAL6 = tuple(
    IPv6Network(net) for net in (
        "::/128", "::1/128", "::ffff:0:0/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23",
        "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
        "ff00::/8",
    )
)  # fmt: skip
#: RFC 4291: what is routed between strangers; RFC 6052: IPv4 addresses written as IPv6.
_GLOBAL = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port; the host of an allowed one may begin with `*.`, for whatever lies below."""

    scheme: str
    host: str
    port: int

    def admits(self, other: "Origin") -> bool:
        """Whether a URL's origin is this one."""
        if (self.scheme, self.port) != (other.scheme, other.port):
            return False
        if self.host.startswith("*."):
            return other.host.endswith(self.host[1:]) and len(other.host) > len(self.host) - 1
        return self.host == other.host


def _origin(parts: SplitResult) -> Origin:
    """Raises ValueError where the port is none."""
    host = (parts.hostname or "").lower().removesuffix(".")
    return Origin(parts.scheme.lower(), host, parts.port or _PORTS[parts.scheme.lower()])


def allowed_origin(entry: str) -> Origin:
    """What an entry of the list allows: `hooks.city.example` over HTTPS, `10.0.0.5:8443`, `http://10.0.0.5:8080`;
    raises ConfigurationError.
    """
    try:
        return _origin(urlsplit(entry if "://" in entry else f"https://{entry}"))
    except (ValueError, KeyError) as error:
        raise ConfigurationError(f"KAWAMORI_ALERTS__WEBHOOK_HOSTS: {entry!r} is no host to send to") from error


def wanted_origin(url: str) -> tuple[Origin, str]:
    """Where a URL leads, and its path with the query; raises Undelivered. Pure."""
    try:
        parts = urlsplit(url)
        origin = _origin(parts)
    except (ValueError, KeyError):
        raise Undelivered("not a URL of HTTP", permanent=True) from None
    if not _URL.fullmatch(url) or not origin.host or "@" in parts.netloc or "\\" in url:
        raise Undelivered("not a URL of HTTP", permanent=True)
    return origin, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def public(address: str) -> bool:
    """Whether an IP address is one of the public Internet: not loopback, link-local, private, multicast. Pure."""
    found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in _NAT64:
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is None:
            return found in _GLOBAL and found.is_global and not any(found in net for net in _SPECIAL6)
        found = inner
    special = found.is_multicast or found.is_reserved or any(found in net for net in _SPECIAL4)
    return found.is_global and not special


def may_reach(address: str, port: int, allowed: Iterable[Origin]) -> bool:
    """Whether a host that is allowed may be reached there: at a public address, or at one that is itself on the list
    with that port. Pure.
    """
    if public(address):
        return True
    bare = ip_address(address.partition("%")[0])
    for origin in allowed:
        try:
            if ip_address(origin.host) == bare and origin.port == port:
                return True
        except ValueError:
            continue
    return False


def retry_after(text: str | None, at: datetime) -> timedelta | None:
    """How long a Retry-After asks us to wait: seconds, or a date; None for anything else. Pure."""
    if not text:
        return None
    if re.fullmatch(r"\d{1,9}", text.strip()):
        return timedelta(seconds=int(text))
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(timedelta(0), (date if date.tzinfo else date.replace(tzinfo=UTC)) - at)


def shown(body: bytes, *keys: str) -> str:
    """What was answered, in one line, without what may be a key: a URL's path, an Authorization. Pure."""
    text = "".join(c if c.isprintable() else " " for c in body.decode("utf-8", "replace"))
    parts = {part for key in keys for part in (key, *re.split(r"[/?&=,\s]", key)) if len(part) >= 8}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "…")
    return " ".join(text.split())[:_SHOWN]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said."""

    status: int
    headers: Mapping[str, str]
    text: str

    def __str__(self) -> str:
        return f"{self.status} {self.text}".rstrip()


def refusal(answer: Answer, at: datetime) -> Undelivered | None:
    """What an answer means that is no yes; None for a yes. Pure."""
    status = answer.status
    if 200 <= status < 300:
        return None
    wait = retry_after(answer.headers.get("retry-after"), at)
    if 300 <= status < 400:
        return Undelivered(f"{status}: redirects are not followed; set the address it leads to", permanent=True)
    later = status in (408, 425, 429) or status >= 500
    return Undelivered(str(answer), retry_after=wait, permanent=not later)


class Guarded:
    """Posts to the hosts of one list; `tls` says which authorities are believed, the machine's own where it is None."""

    def __init__(
        self, allowed: Iterable[str], *, patience: timedelta = PATIENCE, tls: ssl.SSLContext | None = None
    ) -> None:
        self._allowed = tuple(allowed_origin(entry) for entry in allowed)
        self._patience = patience
        self._tls = tls or ssl.create_default_context()
        # names that do not resolve hold these threads, and nobody else's
        self._resolver = ThreadPoolExecutor(4, thread_name_prefix="resolve")
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log URLs

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, accepted: Collection[int] = ()
    ) -> Answer:
        """Post once; returns a yes (any 2xx, or `accepted`), raises Undelivered for everything else."""
        origin, path = wanted_origin(url)
        if not any(allowed.admits(origin) for allowed in self._allowed):
            raise Undelivered(
                f"{origin.scheme}://{origin.host}:{origin.port} is not on the list: KAWAMORI_ALERTS__WEBHOOK_HOSTS",
                permanent=True,
            )
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                answer = await self._post_anywhere(origin, path, body, headers)
        except TimeoutError:
            raise Undelivered(f"no answer within {self._patience.total_seconds():g} s") from None
        if answer.status not in accepted and (no := refusal(answer, now())):
            raise no
        return answer

    async def _post_anywhere(self, origin: Origin, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Try the host's addresses in turn until one takes the connection."""
        trouble: httpx.HTTPError | None = None
        for address in await self._addresses(origin):
            try:
                return await self._post(origin, address, path, body, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                trouble = error
            except httpx.RemoteProtocolError:
                raise Undelivered("did not answer in HTTP") from None
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                raise Undelivered(f"the connection broke: {type(error).__name__}") from None
        why = "no connection in time" if isinstance(trouble, httpx.TimeoutException) else str(trouble)
        raise Undelivered(f"{origin.host} does not take the connection: {why}"[:300]) from None

    async def _addresses(self, origin: Origin) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                self._resolver, lambda: socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
            )
        except (OSError, UnicodeError):
            raise Undelivered(f"{origin.host} does not resolve") from None
        addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
        reachable = [address for address in addresses if may_reach(address, origin.port, self._allowed)]
        if not reachable:
            raise Undelivered(
                f"{origin.host} leads inside the network: put that address, with the port, too into"
                " KAWAMORI_ALERTS__WEBHOOK_HOSTS",
                permanent=True,
            )
        return reachable[:4]

    async def _post(self, origin: Origin, address: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        literal = f"[{origin.host}]" if ":" in origin.host else origin.host
        host = literal if origin.port == _PORTS[origin.scheme] else f"{literal}:{origin.port}"
        async with (
            httpx.AsyncClient(
                verify=self._tls, trust_env=False, follow_redirects=False,
                timeout=httpx.Timeout(self._patience.total_seconds(), connect=_CONNECT_S),
            ) as client,
            client.stream(
                "POST", httpx.URL(scheme=origin.scheme, host=address, port=origin.port, raw_path=path.encode("ascii")),
                content=body, extensions={"sni_hostname": origin.host},
                headers={"User-Agent": "Kawamori", "Accept-Encoding": "identity", **headers, "Host": host},
            ) as response,
        ):  # fmt: skip
            said = await self._read(response)
            text = shown(said, path, headers.get("Authorization", ""))
            return Answer(response.status_code, dict(response.headers), text)

    async def _read(self, response: httpx.Response) -> bytes:
        """The beginning of the answer's body, as far as it comes."""
        said = b""
        try:
            async with asyncio.timeout(_READING_S):
                async for piece in response.aiter_raw():
                    said += piece
                    if len(said) >= _LARGEST_ANSWER:
                        break
        except (httpx.HTTPError, TimeoutError):
            return said  # the status line stands
        return said
