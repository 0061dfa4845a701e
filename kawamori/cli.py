"""`kawamori …`: one command a service, and the ones that people type."""

import asyncio
import json
import os
import pwd
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from kawamori.errors import ConfigurationError, KawamoriError
from kawamori.observe import configure_logs, log
from kawamori.settings import Settings, load, unknown_variables

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Kawamori (川守), the river keeper: water levels from the sensor to the person who must decide.",
)
db = typer.Typer(no_args_is_help=True, help="The database's schema.")
station = typer.Typer(no_args_is_help=True, help="Stations and what is on them.")
user = typer.Typer(no_args_is_help=True, help="Who may answer alerts, and who may change rules.")
app.add_typer(db, name="db")
app.add_typer(station, name="station")
app.add_typer(user, name="user")
basemap = typer.Typer(no_args_is_help=True, help="The operator's own map under the stations.")
app.add_typer(basemap, name="basemap")
gateways = typer.Typer(no_args_is_help=True, help="Whose batches are believed. (`kawamori gateway` runs one.)")
app.add_typer(gateways, name="gateways")
quarantine = typer.Typer(no_args_is_help=True, help="What was refused, and trying it again.")
app.add_typer(quarantine, name="quarantine")

#: What `kawamori up` keeps running, in this order; none needs another to be there first.
SERVICES = ("gateway", "ingest", "alerts", "api")
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a script to read.")]


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Turn our errors into one line each and a status: 2 for what a person must set right, 1 for the rest."""
    try:
        yield
    except ConfigurationError as error:
        typer.echo(f"kawamori: {error}", err=True)
        raise typer.Exit(2) from None
    except KawamoriError as error:
        typer.echo(f"kawamori: {error}", err=True)
        raise typer.Exit(1) from None


def _require_own_packages() -> None:
    """Refuse to start when a package of another project (PyPI has an `alerts`) stands in for one of ours."""
    home = Path(__file__).parent.parent
    for name in (*SERVICES, "simulators"):
        spec = find_spec(name)
        if spec is None or spec.origin is None or Path(spec.origin).parent.parent != home:
            raise ConfigurationError(f"the package `{name}` is not the one beside {home}: use the project's own .venv")


def _name_unknown_variables() -> None:
    """A misspelt setting has no effect, and nobody would know."""
    if unknown := unknown_variables(os.environ):
        log().warning("variables that set nothing: misspelt, or of another version", variables=unknown)


def _serve(name: str, run: Callable[[Settings, asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    from kawamori import runtime

    with _clear_errors():
        _require_own_packages()
        settings = load()
        configure_logs(name, settings.log_level)
        _name_unknown_variables()
        runtime.run(lambda stop: run(settings, stop))


@app.command()
def gateway() -> None:
    """Receive devices' messages, journal them, forward them until they are stored."""
    from gateway.service import run

    _serve("gateway", run)


@app.command()
def journal(
    resend: Annotated[
        bool, typer.Option("--resend", help="Let the gateway send them again at its next start.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the rows that the gateway could not deliver. Stop the gateway first: it holds its journal alone."""
    from gateway.journal import Journal

    with _clear_errors():
        settings = load()
        opened = Journal(settings.gateway.journal)
        try:
            rows = opened.aside()
            for row in rows if resend else ():
                opened.take_back(row.seq, opened.PIECE)
        finally:
            opened.close()
    if as_json:
        typer.echo(json.dumps([row._asdict() for row in rows]))
        return
    for row in rows:
        at = datetime.fromtimestamp(row.at, UTC)
        typer.echo(f"{row.seq}: {row.size} bytes, {at:%Y-%m-%dT%H:%M:%SZ}, {row.reason}")
    typer.echo(f"{len(rows)} rows {'go again' if resend else 'set aside'}")


@app.command()
def ingest() -> None:
    """Validate and store what gateways forward. Several may run at once."""
    from ingest.service import run

    _serve("ingest", run)


@app.command()
def alerts() -> None:
    """Watch the thresholds and tell people."""
    from alerts.service import run

    _serve("alerts", run)


@app.command()
def api() -> None:
    """Serve the HTTP API and the page."""
    from api.service import run

    def ready(url: str) -> None:
        typer.echo(f"kawamori api: {url}")
        if file := os.environ.get("KAWAMORI_DEMO_URL_FILE"):
            part = Path(f"{file}.part")
            part.write_text(url)
            part.rename(file)  # whoever waits for the file finds it whole

    _serve("api", lambda settings, stop: run(settings, stop, ready))


@app.command()
def up() -> None:
    """Run all services on this machine, and start again whichever dies."""
    from kawamori import runtime
    from kawamori.operate.supervise import supervise

    with _clear_errors():
        _require_own_packages()
        settings = load()
        configure_logs("up", settings.log_level)
        _name_unknown_variables()
        _migrate(settings.database())
        _register_own_gateway(settings.database(), settings.gateway.id)
        tell = _crash_loop_teller(settings)
        runtime.run(lambda stop: supervise({name: (name,) for name in SERVICES}, dict(os.environ), stop, tell))


def _crash_loop_teller(settings: Settings) -> Callable[[str, int, float], Awaitable[None]]:
    """Tells the watchers that the service which tells of everything else ends again and again."""

    async def tell(name: str, count: int, seconds: float) -> None:
        if name != "alerts":  # the others are told of by it
            return
        from alerts.channels.choice import make_channels
        from alerts.delivery import send_directly, watchers
        from kawamori.runtime import now

        await send_directly(
            make_channels(settings.alerts), ["log:log", *watchers(settings)],
            f"【サービス障害】判定・通知（alerts）が {seconds:.0f} 秒に {count} 回終了しました",
            "判定も通知も動いていません。水位は別の手段で確かめ、ログを見てください。\n\n"
            f"The alert service has ended {count} times in the last {seconds:.0f} s: nothing is judged and nobody is"
            " told. Watch the levels by other means, and look at its log.",
            f"crash-loop-{name}-{now():%Y%m%d%H%M}",
        )  # fmt: skip

    return tell


@app.command()
def check() -> None:
    """Say whether the settings, the database and the broker are as they must be."""
    with _clear_errors():
        settings = load()
        configure_logs("check", "warning")
        unknown = unknown_variables(os.environ)
        if unknown:
            raise ConfigurationError("\n".join(f"{name}: there is no such setting" for name in unknown))
        from kawamori.mqtt import Publisher
        from kawamori.storage.migrate import status

        missing = [name for name, applied in status(settings.database()) if not applied]
        typer.echo(f"database: TimescaleDB, {'schema up to date' if not missing else 'run `kawamori db migrate`'}")

        async def broker() -> None:
            async with asyncio.timeout(5), Publisher(settings.mqtt(), f"kawamori-check-{os.getpid()}") as link:
                await link.wait_connected()

        try:
            asyncio.run(broker())
        except TimeoutError:
            raise KawamoriError("broker: no answer within 5 s at KAWAMORI_MQTT_URL") from None
        typer.echo("broker: answers")
        if missing:
            raise typer.Exit(1)


def _migrate(url: str) -> list[str]:
    from kawamori.storage.migrate import migrate

    return migrate(url)


@db.command("migrate")
def db_migrate() -> None:
    """Bring the database to the newest schema."""
    with _clear_errors():
        done = _migrate(load().database())
        typer.echo("\n".join(f"applied {name}" for name in done) or "nothing to do")


@db.command("status")
def db_status(as_json: Json = False) -> None:
    """List the schema's steps."""
    from kawamori.storage.migrate import status

    with _clear_errors():
        steps = status(load().database())
        if as_json:
            typer.echo(json.dumps([{"step": name, "applied": applied} for name, applied in steps]))
        else:
            typer.echo("\n".join(f"{'applied' if applied else 'missing'}  {name}" for name, applied in steps))


@db.command("retain")
def db_retain(
    older_than: Annotated[
        str | None, typer.Option(help="Raw readings older than this go, like P400D; else KAWAMORI_RETAIN__RAW.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Let go of very old raw readings, chunk by chunk while the site runs; hours, days and alerts stay."""
    from kawamori.runtime import now
    from kawamori.settings import duration
    from kawamori.storage.retention import QuarantineLimits, retain

    with _clear_errors():
        settings = load()
        configure_logs("retain", settings.log_level)
        raw = settings.retain.raw if older_than is None else duration("--older-than", older_than)
        limits = QuarantineLimits(age=settings.retain.quarantine, bytes_each=settings.retain.quarantine_bytes)
        done = retain(
            settings.database(), now=now(), raw=raw, feed=settings.retain.feed, quarantine=limits, dry_run=dry_run
        )
        if as_json:
            chunks = [{"from": c.start.isoformat(), "to": c.end.isoformat(), "bytes": c.size} for c in done.chunks]
            typer.echo(json.dumps({"kept_from": done.kept_from.isoformat(), "chunks": chunks, "dry_run": dry_run,
                                   "batches": done.batches, "quarantine": done.quarantine}))  # fmt: skip
            return
        verb = "would drop" if dry_run else "dropped"
        for chunk in done.chunks:
            typer.echo(f"{verb} readings {chunk.start:%Y-%m-%d} to {chunk.end:%Y-%m-%d} ({chunk.size / 1e6:.1f} MB)")
        typer.echo(f"{verb} {done.batches} rows of the change feed, {done.quarantine} of quarantine")
        typer.echo(f"raw readings are taken from {done.kept_from:%Y-%m-%d %H:%M} UTC on")


@station.command("import")
def station_import(
    file: Annotated[Path, typer.Argument(help="JSON: a list of stations, see docs/operations.md.", exists=True)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would change.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what is doubtful too.")] = False,
) -> None:
    """Register stations with their sensors, devices and thresholds; those already there are updated."""
    from kawamori.domain.registration.doubts import BUILT_IN
    from kawamori.domain.registration.examine import Registration, examine
    from kawamori.domain.registration.standing import nothing_registered
    from kawamori.operate.sheet import read_sheet
    from kawamori.runtime import now
    from kawamori.storage.database import Database
    from kawamori.storage.registration import register_sheet

    with _clear_errors():
        sheet = read_sheet(file)
        typer.echo(f"{len(sheet.stations)} stations, {sum(len(p.sensors) for p in sheet.stations)} sensors")
        settings = load()

        async def write() -> Registration:
            async with Database(settings.database(), "import", size=1) as database:
                return await register_sheet(database, sheet, who=_unix_user(), dry_run=dry_run, strict=strict)

        def alone(why: str) -> Registration:
            typer.echo(f"warning: no database was asked ({why}): what is registered already is not known", err=True)
            return examine(sheet, nothing_registered(), BUILT_IN, now(), strict=strict)

        try:
            found = alone("none is set") if dry_run and settings.database_url is None else asyncio.run(write())
        except ConfigurationError:
            raise
        except KawamoriError as error:
            if not dry_run:
                raise
            found = alone(str(error))
        for remark in found.remarks:
            typer.echo(f"warning: {remark}", err=True)
        counts = Counter(change.event for change in found.changes)
        done = ", ".join(f"{count} {event}" for event, count in sorted(counts.items()))
        verb = "would be registered" if dry_run else "registered"
        typer.echo(f"{verb}: {done or 'nothing new, all of it is registered already'}")


def _unix_user() -> str:
    """Who did it, for the audit: the software's own name is not a person's."""
    try:
        return f"unix:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"unix:{os.getuid()}"


@user.command("add")
def user_add(
    name: Annotated[str, typer.Argument(help="What is written down as who did it.")],
    role: Annotated[str, typer.Option(help="operator answers alerts; manager changes rules and people too.")],
) -> None:
    """Let somebody act, and print their token: this once, it is not kept."""
    from api.who import LONGEST_NAME, MANAGER, OPERATOR, digest, is_name, new_token
    from kawamori.storage.actions import add_account
    from kawamori.storage.alerts import note
    from kawamori.storage.database import Database

    with _clear_errors():
        if role not in (OPERATOR, MANAGER):
            raise ConfigurationError(f"--role: must be {OPERATOR} or {MANAGER}")
        if not is_name(name):
            raise ConfigurationError(f"NAME: must be 1 to {LONGEST_NAME} characters, none of them control characters")
        token = new_token()

        async def write() -> bool:
            async with Database(load().database(), "user", size=1) as database, database.transaction() as connection:
                added = await add_account(connection, name, role, digest(token))
                if added:
                    await note(connection, subject="account", subject_id=name, event="added", detail={"role": role})
                return added

        if not asyncio.run(write()):
            raise ConfigurationError("NAME: there is somebody of this name already; revoke that one first")
        typer.echo(token)


@user.command("list")
def user_list(as_json: Json = False) -> None:
    """Who may act, and who no longer."""
    from kawamori.storage.actions import Account, accounts
    from kawamori.storage.database import Database

    with _clear_errors():

        async def read() -> list[Account]:
            async with Database(load().database(), "user", size=1) as database:
                return await accounts(database)

        found = asyncio.run(read())
        if as_json:
            typer.echo(json.dumps([{"name": a.name, "role": a.role, "since": a.created_at.isoformat(),
                                    "revoked": a.revoked_at and a.revoked_at.isoformat()} for a in found]))  # fmt: skip
            return
        for account in found:
            revoked = f"  revoked {account.revoked_at:%Y-%m-%d %H:%M} UTC" if account.revoked_at else ""
            typer.echo(f"{account.role:8}  {account.name}{revoked}")


@user.command("revoke")
def user_revoke(name: Annotated[str, typer.Argument(help="Whose token is to work no more.")]) -> None:
    """End somebody's token at once; what they did stays written down."""
    from kawamori.storage.actions import revoke_account
    from kawamori.storage.alerts import note
    from kawamori.storage.database import Database

    with _clear_errors():

        async def write() -> bool:
            async with Database(load().database(), "user", size=1) as database, database.transaction() as connection:
                revoked = await revoke_account(connection, name)
                if revoked:
                    await note(connection, subject="account", subject_id=name, event="revoked")
                return revoked

        if not asyncio.run(write()):
            raise ConfigurationError("NAME: nobody of this name may act")
        typer.echo(f"revoked {name}")


def _register_own_gateway(url: str, name: str) -> None:
    """The gateway that runs beside the services on the operator's own machine is believed, unless it was retired."""
    from kawamori.storage.database import Database
    from kawamori.storage.gateways import add_gateway

    async def write() -> None:
        async with Database(url, "gateways", size=1) as database:
            await add_gateway(database, name, again=False)

    asyncio.run(write())


@gateways.command("add")
def gateways_add(name: Annotated[str, typer.Argument(help="Its KAWAMORI_GATEWAY__ID.")]) -> None:
    """Register a gateway, or take a retired one back; what it sent before is tried again out of quarantine."""
    from kawamori.storage.database import Database
    from kawamori.storage.gateways import add_gateway

    with _clear_errors():

        async def write() -> int:
            async with Database(load().database(), "gateways", size=1) as database:
                return await add_gateway(database, name)

        waiting = asyncio.run(write())
        typer.echo(f"registered {name}" + (f"; {waiting} messages of quarantine are tried again" if waiting else ""))


@gateways.command("retire")
def gateways_retire(name: Annotated[str, typer.Argument(help="Whose batches are believed no more.")]) -> None:
    """Take a gateway off: nobody is alarmed by its silence, and what it still sends goes to quarantine."""
    from kawamori.storage.database import Database
    from kawamori.storage.gateways import retire_gateway

    with _clear_errors():

        async def write() -> None:
            async with Database(load().database(), "gateways", size=1) as database:
                await retire_gateway(database, name)

        asyncio.run(write())
        typer.echo(f"retired {name}")


@gateways.command("list")
def gateways_list(as_json: Json = False) -> None:
    """Which gateways are registered, which are retired, and which spoke without being registered."""
    from kawamori.storage.database import Database
    from kawamori.storage.gateways import KnownGateway, known_gateways

    with _clear_errors():

        async def read() -> list[KnownGateway]:
            async with Database(load().database(), "gateways", size=1) as database:
                return await known_gateways(database)

        for one in asyncio.run(read()):
            seen = one.seen_at and one.seen_at.isoformat(timespec="seconds")
            if as_json:
                typer.echo(json.dumps({"gateway_id": one.name, "state": one.state, "seen_at": seen}))
            else:
                typer.echo(f"{one.state:10}  {one.name:20}  {seen or 'never heard'}")


#: What every screen of the demo says, by scenario and `--fast`.
_DEMO_NOTICE = {
    ("typhoon", False): {
        "JA": "デモ：模擬の河川です。台風の夜の途中から、実際の速さで進みます。",
        "EN": "Demo: simulated rivers, at their true pace, in the middle of a typhoon night.",
    },
    ("typhoon", True): {
        "JA": "デモ：模擬の河川です。台風は60倍の速さで進みます（1秒＝1分）。",
        "EN": "Demo: simulated rivers. The typhoon runs 60 times faster (1 s = 1 min).",
    },
    ("calm", False): {"JA": "デモ：模擬の河川です。平常時です。", "EN": "Demo: simulated rivers on a calm day."},
    ("calm", True): {
        "JA": "デモ：模擬の河川です。平常時を60倍の速さで進めます（1秒＝1分）。",
        "EN": "Demo: simulated rivers on a calm day, 60 times faster (1 s = 1 min).",
    },
}


@app.command()
def demo(
    duration: Annotated[float | None, typer.Option(help="End after so many seconds.")] = None,
    scenario: Annotated[str, typer.Option(help="typhoon or calm.")] = "typhoon",
    fast: Annotated[bool, typer.Option("--fast", help="Begin in fair weather, and go sixty times as fast.")] = False,
) -> None:
    """Watch a typhoon flood rise through a small city's rivers: everything, on this machine, nothing left behind."""
    from kawamori import runtime
    from kawamori.operate.servers import private_folder
    from kawamori.operate.supervise import supervise

    if (scenario, fast) not in _DEMO_NOTICE:
        raise typer.BadParameter("must be typhoon or calm", param_hint="--scenario")
    with _clear_errors(), ExitStack() as stack:
        _require_own_packages()
        settings = load()
        folder = stack.enter_context(private_folder("demo"))
        environment = {**os.environ, **_servers(settings, stack)}
        environment.setdefault("KAWAMORI_GATEWAY__JOURNAL", str(folder / "journal.db"))
        environment.setdefault("KAWAMORI_ALERTS__LOG", str(Path("kawamori-demo-notifications.log").absolute()))
        environment.setdefault("KAWAMORI_LOG_LEVEL", "warning")
        environment.setdefault("KAWAMORI_API__OPEN", "true")
        environment.setdefault("KAWAMORI_SITE__NAME_JA", "川守デモ市")
        environment.setdefault("KAWAMORI_SITE__NAME_EN", "Kawamori demo city")
        for language, notice in _DEMO_NOTICE[scenario, fast].items():
            environment.setdefault(f"KAWAMORI_SITE__NOTICE_{language}", notice)
        notifications = Path(environment["KAWAMORI_ALERTS__LOG"])
        notifications.write_text("")
        _migrate(environment["KAWAMORI_DATABASE_URL"])
        _register_own_gateway(environment["KAWAMORI_DATABASE_URL"], settings.gateway.id)
        url_file = folder / "api-url"
        environment["KAWAMORI_DEMO_URL_FILE"] = str(url_file)
        simulate = ("simulate", "--scenario", scenario, *(["--fast"] if fast else []))
        commands = {name: (name,) for name in SERVICES} | {"simulate": simulate}

        async def service(stop: asyncio.Event) -> None:
            async def announce() -> None:
                url = await _first_level(url_file)
                typer.echo(f"\nkawamori is ready: {url}\n")
                typer.echo(f"notifications: {notifications}   (Ctrl-C ends everything)")
                sys.stdout.flush()
                if duration is not None:
                    await asyncio.sleep(duration)
                    stop.set()

            announcing = asyncio.create_task(announce(), name="announce")
            try:
                await supervise(commands, environment, stop)
            finally:
                announcing.cancel()

        runtime.run(service)


def _servers(settings: Settings, stack: ExitStack) -> dict[str, str]:
    """The URLs of the site's own servers where they are set, else of private ones that end with the stack."""
    from kawamori.operate.servers import private_broker, private_database

    urls = {}
    if settings.database_url is None:
        typer.echo("starting a private TimescaleDB …")
        urls["KAWAMORI_DATABASE_URL"] = stack.enter_context(private_database()).url
    else:
        urls["KAWAMORI_DATABASE_URL"] = settings.database()
    if settings.mqtt_url is None:
        typer.echo("starting a private Mosquitto …")
        urls["KAWAMORI_MQTT_URL"] = stack.enter_context(private_broker()).url
    else:
        urls["KAWAMORI_MQTT_URL"] = settings.mqtt_url.get_secret_value()
    return urls


async def _first_level(url_file: Path) -> str:
    """Wait until the API shows a level of now; returns its address."""
    begun = time.monotonic()
    while True:
        if url := await asyncio.to_thread(_read_if_there, url_file):
            try:
                with await asyncio.to_thread(
                    urllib.request.urlopen, f"{url}/api/v1/levels/latest", timeout=2
                ) as answer:
                    stations = json.load(answer)["stations"]
                if any(s["freshness"] == "fresh" for s in stations):
                    return url
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                pass
        if time.monotonic() - begun > 60:
            typer.echo("still waiting for a first level after 60 s: see the messages above", err=True)
            begun = time.monotonic()
        await asyncio.sleep(0.1)


def _read_if_there(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""


def _add_quarantine() -> None:
    from ingest import commands

    for name, command in commands.COMMANDS.items():
        quarantine.command(name)(_clear_errors()(command))


def _add_simulators() -> None:
    from simulators.commands import bench, replay, simulate

    app.command()(simulate)
    app.command()(replay)
    app.command()(bench)


def _add_basemap() -> None:
    from kawamori.operate.commands import basemap as commands

    for name, command in commands.COMMANDS.items():
        basemap.command(name)(_clear_errors()(command))


if not set(sys.argv[1:2]) & set(SERVICES):  # a service starts without loading what it does not need
    _add_simulators()
    _add_basemap()
    _add_quarantine()

if __name__ == "__main__":
    app()
