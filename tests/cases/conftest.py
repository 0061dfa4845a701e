"""One site for all cases, and hands to do with it what the people of the reports did."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.databases import migrated_database

from kawamori.operate.servers import private_broker

CASES = Path(__file__).parents[3] / "shared" / "cases"


class Site:
    """The whole chain as processes, its command line and its HTTP API."""

    def __init__(self, chain: Any, wait_until: Callable[..., Any], folder: Path) -> None:
        self.chain, self.wait_until, self.folder = chain, wait_until, folder
        self.cases = CASES
        self._client: Any = None

    def kawamori(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command, run in a folder of its own."""
        return subprocess.run(
            [sys.executable, "-m", "kawamori.cli", *arguments], env=self.chain.environment, cwd=self.folder, text=True,
            capture_output=True, timeout=120,
        )  # fmt: skip

    def filled(self, name: str) -> Path:
        """A case's file with its times filled in."""
        done = subprocess.run(
            [sys.executable, str(CASES / "render.py"), str(CASES / name)], text=True, capture_output=True, check=True
        )
        made = self.folder / name.replace("/", "-")
        made.write_text(done.stdout, encoding="utf-8")
        return made

    def register(self, name: str, *flags: str) -> subprocess.CompletedProcess[str]:
        """`kawamori station import` of a case's sheet."""
        return self.kawamori("station", "import", str(self.filled(name)), *flags)

    def replay(self, name: str, *flags: str) -> subprocess.CompletedProcess[str]:
        """`kawamori replay` of a case's file."""
        return self.kawamori("replay", str(CASES / name), *flags)

    def limits(self, folder: str) -> tuple[str, str]:
        """The option that names a case's thresholds."""
        return "--thresholds", str(CASES / folder / "thresholds.csv")

    def lines(self, name: str) -> list[tuple[str, str]]:
        """A case's messages: (topic, payload)."""
        text = self.filled(name).read_text(encoding="utf-8")
        return [(line.split("\t", 1)[0], line.split("\t", 1)[1]) for line in text.splitlines() if line]

    def publish(self, lines: list[tuple[str, str]]) -> None:
        """The lines in order, each confirmed by the broker before the next."""
        if self._client is None:
            self._client = self.chain.client()
        for topic, payload in lines:
            self._client.publish(topic, payload.encode(), qos=1).wait_for_publish(30)

    def get(self, path: str) -> Any:
        """JSON of the HTTP API."""
        with urllib.request.urlopen(f"{self.chain.url('api')}/api/v1{path}", timeout=10) as answer:
            return json.load(answer)

    def page(self, path: str) -> str:
        """A page's HTML."""
        with urllib.request.urlopen(f"{self.chain.url('api')}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def readings(self, station: str, start: str, end: str = "", **more: str) -> list[dict[str, Any]]:
        """The station's points; [] while there is no such station or sensor."""
        query = "".join(f"&{k}={quote(v)}" for k, v in {"resolution": "raw", "to": end, **more}.items() if v)
        try:
            found = self.get(f"/stations/{quote(station)}/readings?from={quote(start)}{query}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return []
        return list(found["points"])

    def alerts(self, station: str, *kinds: str) -> list[dict[str, Any]]:
        """The station's alerts, oldest first, of these kinds (of levels where none is named)."""
        found = self.get(f"/alerts?station={quote(station)}")["alerts"]
        return sorted((a for a in found if a["kind"] in (kinds or ("level",))), key=lambda a: a["started_at"])

    def level(self, station: str) -> dict[str, Any]:
        """The station's row of `levels/latest`."""
        (row,) = self.get(f"/levels/latest?station={quote(station)}")["stations"]
        return dict(row)

    def refused(self, device: str) -> list[dict[str, Any]]:
        """What is in quarantine of a device."""
        return list(self.get(f"/quarantine?device={quote(device)}")["messages"])

    def told(self, station: str) -> list[tuple[str, str]]:
        """(event, subject) of the notifications of a station's alerts, in the order they went out."""
        mine = {a["id"] for a in self.get(f"/alerts?station={quote(station)}&limit=200")["alerts"]}
        log = Path(self.chain.environment["KAWAMORI_ALERTS__LOG"])
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [(line["event"], line["subject"]) for line in lines if line["alert_id"] in mine]

    def stored(self, station: str, count: int, quantity: str = "water_level") -> None:
        """Wait until so many readings of the station are stored."""
        sql = "SELECT count(*) FROM reading JOIN sensor USING (sensor_id) WHERE station_id = %s AND quantity = %s"
        self.wait_until(
            lambda: self.chain.sql(sql, station, quantity)[0][0] >= count,
            30,
            f"{count} readings of {station} are stored",
        )

    def judged(self) -> None:
        """Wait until the alert engine has evaluated everything that is committed now."""
        ((newest,),) = self.chain.sql("SELECT coalesce(max(batch_id), 0) FROM ingest_batch")
        self.wait_until(
            lambda: self.chain.sql("SELECT 1 FROM feed_cursor WHERE follower = 'alerts' AND batch_id >= %s", newest),
            30, "the alert engine has followed",
        )  # fmt: skip

    def close(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()


@pytest.fixture(scope="session")
def site(
    tmp_path_factory: pytest.TempPathFactory, fresh_chain_on: Callable[..., Any], wait_until: Callable[..., Any]
) -> Iterator[Site]:
    if not CASES.exists():
        pytest.skip(f"the cases are not here ({CASES.name}): they are laid beside the project, never in it")
    folder = tmp_path_factory.mktemp("cases")
    with ExitStack() as stack:
        broker, database = stack.enter_context(private_broker()), stack.enter_context(migrated_database(durable=False))
        chain = fresh_chain_on(stack, broker, database, folder, KAWAMORI_GATEWAY__ID="gateway-1")
        chain.start("gateway", "ingest", "alerts", "api")
        made = Site(chain, wait_until, folder)
        stack.callback(made.close)
        yield made
