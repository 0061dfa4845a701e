"""Settings: `KAWAMORI_…` in the environment, parts nested by `__`; one object, given to each service."""

import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from kawamori.errors import ConfigurationError

Positive = Annotated[timedelta, AfterValidator(lambda d: d if d > timedelta(0) else _refuse("must be positive"))]
Port = Annotated[int, Field(ge=0, le=65535)]
#: One of the hosts of a database's or broker's address; none for a socket of this machine.
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:/@\[\]]*)(:\d{0,5})?")
_HOST = r"^(https?://)?(\*\.)?([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$"

#: Nothing that could end the address within a header or a page.
_TILES = re.compile(r"https://[A-Za-z0-9.-]+(:\d{1,5})?/[A-Za-z0-9._~/{}?=&%+-]*")
_PLACES = ("{z}", "{x}", "{y}")


def _refuse(why: str) -> timedelta:
    raise ValueError(why)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GatewaySettings(_Part):
    """The gateway: its id, and where it keeps messages until ingest has acknowledged them."""

    id: str = Field("gateway-1", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    journal: Path = Path("kawamori-journal.db")
    #: Bytes that the journal leaves free on its disk: below, nothing is acknowledged.
    journal_keep_free: int = Field(64 * 1024 * 1024, ge=0)
    #: How long messages gather for one journal commit; what it costs in latency it saves in fsyncs and commits.
    linger: timedelta = timedelta(milliseconds=40)
    #: Batches on the way to ingest at once.
    window: int = Field(16, ge=1, le=1000)
    resend_after: Positive = timedelta(seconds=3)
    health_port: Port = 0


class IngestSettings(_Part):
    """What ingest takes as possible; outside these times a reading goes to quarantine."""

    oldest: Positive = timedelta(days=3653)
    ahead: Positive = timedelta(minutes=5)
    #: A reading that arrives later than this after its measurement is stored with the reason `late`.
    late_after: Positive = timedelta(minutes=30)
    health_port: Port = 0


class AlertSettings(_Part):
    """How people are told."""

    #: Evidence older than this makes a crossing retroactive: recorded, never paged.
    page_within: Positive = timedelta(minutes=30)
    #: How long an engine's lease holds; another takes over when it is not renewed.
    lease: Positive = timedelta(seconds=8)
    #: How often a synthetic reading is sent through the whole chain; 0 switches it off.
    self_test_every: timedelta = timedelta(hours=1)
    #: Where people open the page, for the links in messages.
    public_url: str | None = None
    #: The other channel is tried when one has failed for so long.
    second_channel_after: Positive = timedelta(seconds=60)
    #: A message that cannot be delivered is tried for so long.
    give_up_after: Annotated[timedelta, Field(ge=timedelta(hours=24))] = timedelta(hours=48)
    #: Told directly, without the database, when alerting itself is impaired: `smtp:duty@city.example`.
    watchers: list[Annotated[str, Field(pattern=r"^[a-z_]+:\S+$")]] = []

    #: One line of JSON a notification; standard output when unset.
    log: Path | None = None
    smtp_host: str | None = None
    smtp_port: Port = 25
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_starttls: bool = False
    mail_from: str = "kawamori@localhost"
    #: Told of everything while no escalation is set up.
    mail_to: list[str] = []
    #: Where webhooks may be sent: `hooks.city.example`, `*.city.example`, `10.0.0.5:8443`, all over HTTPS, or
    #: `http://10.0.0.5:8080`. A name must lead to a public address, or that address be on this list too, with the
    #: same port. Slack, Teams and the push services of browsers are known; what stands in for them is listed here too.
    webhook_hosts: list[Annotated[str, Field(pattern=_HOST)]] = []
    #: Key of the HMAC signature of webhooks; without one they go out unsigned.
    webhook_secret: SecretStr | None = None
    line_token: SecretStr | None = None
    line_url: str = "https://api.line.me"
    #: Web Push: a P-256 private key (PEM or base64url), and who runs this site (mailto:…).
    vapid_private_key: SecretStr | None = None
    vapid_subject: str | None = None
    health_port: Port = 0


class ApiSettings(_Part):
    """The web page and the HTTP API."""

    host: str = "127.0.0.1"
    #: The next free port is taken when this one is not free.
    port: Port = 8000
    #: A client that reads nothing of what waits for it for so long is disconnected; it connects again.
    frozen_after: Positive = timedelta(seconds=20)
    #: Clients on the live stream at once; each holds a connection. More are told to try again.
    stream_clients: int = Field(500, ge=1)
    #: Every client acts as manager, under the name that it gives: for demos, and behind a proxy that knows who
    #: is who.
    open: bool = False
    #: The folder that `kawamori basemap import` keeps the operator's own map in; all API processes read the same one.
    basemap: Path | None = None
    #: Pictures of another host under the stations, asked for only where both are set.
    tiles_url: str | None = None
    tiles_attribution: str | None = Field(None, min_length=1, max_length=200, validate_default=True)

    @field_validator("tiles_url")
    @classmethod
    def _is_template(cls, url: str | None) -> str | None:
        if url is not None and not (_TILES.fullmatch(url) and all(url.count(part) == 1 for part in _PLACES)):
            raise ValueError("must be like https://HOST/{z}/{x}/{y}.png")
        return url

    @field_validator("tiles_attribution")
    @classmethod
    def _is_credited(cls, text: str | None, info: ValidationInfo) -> str | None:
        if "tiles_url" in info.data and (text is None) != (info.data["tiles_url"] is None):
            raise ValueError("must be set together with KAWAMORI_API__TILES_URL: whose pictures are they?")
        return text

    @property
    def tiles_origin(self) -> str | None:
        """The one other host that a browser may ask, as a policy names it."""
        return None if self.tiles_url is None else "/".join(self.tiles_url.split("/")[:3])


class RetainSettings(_Part):
    """What `kawamori db retain` lets go of."""

    #: Raw readings older than this; hours and days stay.
    raw: Positive = timedelta(days=3653)
    #: Rows of the change feeds that every follower has passed.
    feed: Positive = timedelta(days=14)
    #: What was refused is kept for so long, at least 14 days; what a device alone fills past `quarantine_bytes`, less.
    quarantine: Annotated[timedelta, Field(ge=timedelta(days=14))] = timedelta(days=90)
    quarantine_bytes: int = Field(64 * 1024 * 1024, ge=1024 * 1024)


class SiteSettings(_Part):
    """Whose rivers these are, and whether tonight is real."""

    name_ja: str = "川守"
    name_en: str = "Kawamori"
    #: actual, exercise or test (CAP status): everything on screen and in messages carries it.
    status: str = Field("actual", pattern="^(actual|exercise|test)$")
    notice_ja: str | None = None
    notice_en: str | None = None
    #: Who sends CAP messages: an identifier that is known to be this site's, without spaces, commas, < and &.
    cap_sender: str = Field("kawamori@localhost", pattern=r"^[^\s,&<]+$")
    #: Who may get them: staff, or everybody.
    cap_scope: str = Field("Restricted", pattern="^(Public|Restricted)$")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(env_prefix="KAWAMORI_", env_nested_delimiter="__", extra="ignore", frozen=True)

    database_url: SecretStr | None = None
    mqtt_url: SecretStr | None = None
    #: Whose certificate the broker shows, where no authority of the machine signed it.
    mqtt_ca: Path | None = None
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")
    gateway: GatewaySettings = GatewaySettings()
    ingest: IngestSettings = IngestSettings()
    alerts: AlertSettings = AlertSettings()
    api: ApiSettings = ApiSettings()
    retain: RetainSettings = RetainSettings()
    site: SiteSettings = SiteSettings()

    def database(self) -> str:
        """The database's URL; raises ConfigurationError when it is not set."""
        if self.database_url is None:
            raise ConfigurationError("KAWAMORI_DATABASE_URL is not set: where is TimescaleDB? (postgresql://…)")
        return _address("KAWAMORI_DATABASE_URL", self.database_url.get_secret_value(), ("postgresql", "postgres"))

    def self_test_every(self) -> timedelta | None:
        """How often the whole chain is tested; None where it is switched off, or there is no broker to begin at."""
        return (self.alerts.self_test_every or None) if self.mqtt_url is not None else None

    def mqtt(self) -> str:
        """The broker's URL, with `?ca=` where one is set; raises ConfigurationError when it is not set."""
        if self.mqtt_url is None:
            raise ConfigurationError("KAWAMORI_MQTT_URL is not set: where is the broker? (mqtt://host:port)")
        url = _address("KAWAMORI_MQTT_URL", self.mqtt_url.get_secret_value(), ("mqtt", "mqtts"))
        return url if self.mqtt_ca is None else f"{url}?{urlencode({'ca': self.mqtt_ca})}"


#: Variables of ours that are no settings: where programs are kept, and what tests and the demo tell processes.
NO_SETTINGS = frozenset({
    "KAWAMORI_API_URL", "KAWAMORI_CACHE", "KAWAMORI_DEMO_URL_FILE", "KAWAMORI_FAIL_POINT", "KAWAMORI_SEED",
    "KAWAMORI_SOAK_S", "KAWAMORI_TEST_TRIES",
})  # fmt: skip


def unknown_variables(names: Iterable[str]) -> list[str]:
    """Those of these variables that begin as ours and set nothing: misspelt, or of another version. Pure."""
    parts = {
        name.upper(): {field.upper() for field in part.annotation.model_fields}
        if isinstance(part.annotation, type) and issubclass(part.annotation, BaseModel)
        else set[str]()
        for name, part in Settings.model_fields.items()
    }
    unknown = []
    for name in sorted(names):
        part, _, field = name.upper().removeprefix("KAWAMORI_").partition("__")
        if not name.upper().startswith("KAWAMORI_") or name in NO_SETTINGS:
            continue
        known = part in parts and (field.partition("__")[0] in parts[part] if parts[part] and field else not field)
        if not known:
            unknown.append(name)
    return unknown


def _address(variable: str, url: str, schemes: tuple[str, ...]) -> str:
    """The URL, or a ConfigurationError that never repeats any of it: it may hold a password."""
    if "://" not in url and "=" in url and schemes[0].startswith("postgres"):
        return url  # key=value pairs, in which nothing is escaped by %
    advice = "in a user's name or password write % as %25, / as %2F, # as %23, ? as %3F, @ as %40, : as %3A"
    if re.search(r"%(?![0-9A-Fa-f]{2})", url) or re.search(r"[#\s]", url):
        raise ConfigurationError(f"{variable}: is not a well-formed address; {advice}")
    scheme, _, rest = url.partition("://")
    place, _, path = rest.partition("/")
    place = place.partition("?")[0]
    who, _, hosts = place.rpartition("@")
    # a slash or an @ in a password ends the host too early, and leaves the rest behind
    well = scheme in schemes and "@" not in who + path.partition("?")[0] and who.count(":") <= 1
    if not well or not all(_HOST_AND_PORT.fullmatch(host) for host in hosts.split(",")):
        raise ConfigurationError(f"{variable}: must look like {schemes[0]}://user:password@host:port/…; {advice}")
    return url


def duration(name: str, text: str) -> timedelta:
    """A duration that a person typed, like P400D; raises ConfigurationError that names where."""
    try:
        found = TypeAdapter(timedelta).validate_python(text)
    except ValidationError:
        raise ConfigurationError(f"{name}: must be a duration like P400D or PT12H") from None
    if found <= timedelta(0):
        raise ConfigurationError(f"{name}: must be positive")
    return found


def load() -> Settings:
    """Read the environment; raises ConfigurationError with one line a wrong field, never its value."""
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"KAWAMORI_{'__'.join(str(part) for part in e['loc']).upper()}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        ]
        raise ConfigurationError("\n".join(lines)) from None
