"""A site to break: broker, database and services of its own, and devices that keep a ledger."""

import random
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg

from kawamori.operate.servers import BrokerServer, DatabaseServer
from kawamori.storage.registry import SensorPlan, StationPlan

SINCE = datetime(2020, 1, 1, tzinfo=UTC)
PROBE = "probe"


def plans(devices: list[str], thresholds: dict[int, float] | None = None) -> list[StationPlan]:
    """A station of its own for each device."""
    return [
        StationPlan(
            station_id=f"at-{name}", name_ja=name, name_en=name, river_id="r", river_name_ja="川",
            river_name_en="River", valid_from=SINCE, thresholds=thresholds or {},
            sensors=(SensorPlan(quantity="water_level", device_id=name, valid_from=SINCE),),
        )
        for name in devices
    ]  # fmt: skip


class Site:
    """What a fault test holds in its hands. `chance` is seeded, and the seed is printed."""

    def __init__(
        self, broker: BrokerServer, database: DatabaseServer, chain: Any, devices: Callable[..., Any], check: Any,
        wait_until: Any, seed: int,
    ) -> None:  # fmt: skip
        self.broker, self.database, self.chain = broker, database, chain
        self._devices, self._check, self._wait_until = devices, check, wait_until
        self.seed, self.chance = seed, random.Random(seed)

    def register(self, count: int, thresholds: dict[int, float] | None = None) -> list[str]:
        """Register that many stations with a device each, and the probe; returns the devices' names."""
        names = [f"d{i:04d}" for i in range(count)]
        self.chain.register(plans(names, thresholds) + plans([PROBE]))
        return names

    def fleet(self, names: list[str], **more: Any) -> Any:
        """The devices, ready to be started by `with`."""
        return self._devices(self.broker.url, names, **{"seed": self.seed, "probe": PROBE, **more})

    def newest_of_probe(self) -> datetime:
        """When the probe measured what is stored of it as newest."""
        ((at,),) = self.chain.sql(
            "SELECT observed_at FROM latest_reading JOIN deployment USING (sensor_id) WHERE device_id = %s", PROBE
        )
        return at or SINCE

    def flowing(self, since: datetime, within: float, what: str) -> float:
        """Wait until a reading measured at or after `since` is committed; returns the seconds from `since` to then."""

        def stored() -> bool:
            try:
                return self.newest_of_probe() >= since
            except psycopg.OperationalError:  # the database is not back yet
                return False

        self._wait_until(stored, within, f"a new reading is stored {what}")
        return (datetime.now(UTC) - since).total_seconds()

    def talk(self, fleet: Any, least: int, most: int, within: float = 60) -> None:
        """Let the devices hear `stored` of a random number of further readings: a random moment, never an idle one."""
        goal = len(fleet.ledger.told) + self.chance.randint(least, most)
        self._wait_until(lambda: len(fleet.ledger.told) >= goal, within, "the devices go on talking")

    def stored_all(self, fleet: Any, within: float) -> float:
        """Wait until what was said is stored; returns how long that took."""
        begun = time.monotonic()
        ledger = fleet.finish(within)
        wanted = len(ledger.sent)
        self._wait_until(
            lambda: self.chain.sql("SELECT count(*) FROM reading")[0][0] >= wanted, within, f"all {wanted} are stored"
        )
        bad = len(ledger.bad_told)
        self._wait_until(
            lambda: self.chain.sql("SELECT count(*) FROM quarantine")[0][0] >= bad, within, f"all {bad} in quarantine"
        )
        return time.monotonic() - begun

    def check(self, fleet: Any, **more: Any) -> tuple[int, int]:
        """Hold the tables against the fleet's ledger."""
        return self._check(more.pop("sql", self.chain.sql), fleet.ledger, **more)  # type: ignore[no-any-return]

    def immediate_restart_of_database(self) -> None:
        """PostgreSQL's `immediate` shutdown, which needs crash recovery, and a start."""
        self.database._process.send_signal(signal.SIGQUIT)  # type: ignore[union-attr]
        self.database._process.wait(30)  # type: ignore[union-attr]
        self.database.start()
