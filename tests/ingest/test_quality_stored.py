"""What ingest stores, refuses and puts in doubt: through the database, as a gateway brings it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from msgspec import Raw

from ingest.batches import Ingest
from ingest.look import look_again
from kawamori import wire
from kawamori.domain.reading import Reason
from kawamori.domain.registry import Limits
from kawamori.mqtt import Message
from kawamori.settings import IngestSettings
from kawamori.storage.database import Database
from kawamori.storage.registry import SensorPlan, StationPlan, register

pytestmark = pytest.mark.integration
SINCE = datetime(2020, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
#: observed_at, value, unit, and how long after its measurement the gateway heard it.
Sent = tuple[datetime, float, str, timedelta]


class Site:
    """One station and its ingest, in one process."""

    def __init__(self, database: Database, url: str, reports: str) -> None:
        self.ingest = Ingest(database, IngestSettings())
        self._database, self._url, self._reports, self._seq = database, url, reports, 0

    async def take(self, *sent: Sent, together: bool = False) -> None:
        """Each reading in a batch of its own, or all in one."""
        batches = [list(sent)] if together else [[one] for one in sent]
        for batch in batches:
            readings = [
                wire.UplinkReading("box", at + delay, Raw(json.dumps(
                    {"time": at.isoformat(), "quantity": self._reports, "value": value, "unit": unit}).encode()))
                for at, value, unit, delay in batch
            ]  # fmt: skip
            self._seq += 1
            payload = wire.encode(wire.Batch(epoch="e", seq=self._seq, readings=readings))
            await self.ingest.take([Message(wire.batch_topic("gateway-1"), payload, datetime.now(UTC), 1, 1, 1)])

    async def look(self) -> None:
        registry = self.ingest.registry.validator.registry
        await look_again(self._database, registry.sensors, self.ingest.registry.validator.calendars)

    def rows(self, text: str) -> list[tuple]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            return connection.execute(text).fetchall()

    def readings(self) -> list[tuple[float, int, int]]:
        return self.rows("SELECT value, flag, reasons FROM reading ORDER BY observed_at")

    def latest(self) -> tuple[float, int, int]:
        return self.rows("SELECT value, flag, reasons FROM latest_reading")[0]

    def refused(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT reason FROM quarantine ORDER BY 1")]


@pytest.fixture
def site(fresh_database_url: str) -> Callable[..., None]:
    """Run a scene on a station: `site(scene, thresholds={…}, limits=…, reports=…, scale=…, shift=…)`."""

    def play(
        scene: Callable[[Site], Awaitable[None]], thresholds: dict[int, float] | None = None, limits: Limits = Limits(),  # noqa: B008
        reports: str = "water_level", usual_delay: timedelta | None = None, **deployed: float,
    ) -> None:  # fmt: skip
        async def run() -> None:
            async with Database(fresh_database_url, "test", size=2) as database:
                sensor = SensorPlan(
                    quantity="water_level",
                    device_id="box",
                    valid_from=SINCE,
                    reports=reports,
                    limits=limits,
                    **deployed,
                )
                await register(database, [StationPlan(
                    station_id="s", name_ja="橋", name_en="Bridge", river_id="r", river_name_ja="川",
                    river_name_en="River", valid_from=SINCE, thresholds=thresholds or {}, sensors=(sensor,),
                )])  # fmt: skip
                if usual_delay is not None:
                    async with database.transaction() as connection:
                        await connection.execute("UPDATE sensor SET usual_delay = %s", [usual_delay])
                await scene(Site(database, fresh_database_url, reports))

        asyncio.run(run())

    return play


def series(values: list[float], unit: str = "m", delay: timedelta = timedelta(seconds=2)) -> list[Sent]:
    """Readings of every ten minutes, the newest a minute old."""
    last = datetime.now(UTC) - MINUTE
    return [(last - 10 * MINUTE * (len(values) - 1 - i), v, unit, delay) for i, v in enumerate(values)]


def test_numbers_for_nothing_are_in_quarantine_and_the_last_level_stands(site):
    async def scene(s: Site) -> None:
        await s.take(*series([1.41, 1.42]))
        for value, unit in ((-888, "cm"), (-9999.99, "m"), (-99.99, "m"), (-999998, "m")):
            await s.take(*series([value], unit))
        assert [v for v, _, _ in s.readings()] == [1.41, 1.42]
        assert s.latest()[0] == 1.42
        assert s.refused() == ["value: a sentinel that stands for no measurement"] * 4

    site(scene, {1: 3.0})


def test_millimetres_below_zero_are_levels(site):
    values = [-970, -980, -990, -995, -999, -1003, -1001, -995, -960, -930, -900, -888, -880]

    async def scene(s: Site) -> None:
        await s.take(*series(values, "mm"))
        assert s.readings() == [(v / 1000, 1, 0) for v in values]
        assert s.refused() == []

    site(scene, {1: 1.0})


def test_heights_above_the_sea_are_good(site):
    values = [round(235.5 + 0.172 * i, 3) for i in range(19)]

    async def scene(s: Site) -> None:
        await s.take(*series(values))
        assert s.readings() == [(v, 1, 0) for v in values]
        assert s.rows("SELECT sum(n) FROM reading_hour") == [(19,)]

    site(scene, {1: 236.0, 2: 237.0, 3: 237.5, 4: 238.0})


def test_a_radar_without_an_echo_is_no_water_at_the_bridge(site):
    async def scene(s: Site) -> None:
        await s.take(*series([5310, 5305, 5300, 5300, 0, 0, 500, 9999, 5300, 5298], "mm"))
        assert [(v, f) for v, f, _ in s.readings() if v > 2.5] == [(6.75, 4)]
        assert s.latest()[:2] == (1.952, 1)
        assert len(s.refused()) == 3

    site(scene, {1: 2.5, 3: 4.0, 5: 5.6}, reports="distance", scale=-1.0, shift=7.25)


def test_what_comes_from_the_future_is_in_quarantine(site):
    async def scene(s: Site) -> None:
        now = datetime.now(UTC)
        second = timedelta(seconds=1)
        await s.take((now - 10 * MINUTE, 1.08, "m", second))
        await s.take((now + timedelta(hours=1), 5.9, "m", -timedelta(hours=1)))
        await s.take((now + timedelta(days=365), 5.9, "m", second))  # the gateway's clock says so too
        await s.take((now - second, 1.10, "m", second))
        assert s.latest()[0] == 1.10
        assert s.refused() == ["time: more than 0:05:00 ahead of its arrival"] * 2

    site(scene, {4: 5.0})


def test_a_row_of_the_future_that_an_earlier_version_stored_hides_nothing(site):
    async def scene(s: Site) -> None:
        await s.take(*series([1.0, 1.1]))
        s.rows("INSERT INTO reading SELECT sensor_id, now() + '30 days', 5.9, 1, 0, now() FROM sensor RETURNING 1")
        s.rows("UPDATE latest_reading SET observed_at = now() + '30 days', value = 5.9, revision = 99 RETURNING 1")
        await s.take((datetime.now(UTC), 1.2, "m", timedelta(0)))
        assert s.latest()[0] == 1.2

    site(scene)


def test_a_gateway_whose_clock_is_behind_loses_no_reading(site):
    async def scene(s: Site) -> None:
        now = datetime.now(UTC)
        await s.take((now, 4.4, "m", -timedelta(hours=30)))
        assert s.readings() == [(4.4, 1, 0)]
        assert s.rows("SELECT received_at >= observed_at FROM latest_reading") == [(True,)]

    site(scene)


def test_a_constant_lag_of_whole_hours_is_a_clock_and_in_doubt_not_late_data(site):
    async def scene(s: Site) -> None:
        last = datetime.now(UTC) - timedelta(hours=9, minutes=1)  # heard a minute ago, digits of another zone
        burst = [
            (last - 10 * MINUTE * k, 4.5 - 0.2 * k, "m", timedelta(hours=9) + 10 * MINUTE * k) for k in range(5, -1, -1)
        ]
        await s.take(*burst)
        await s.look()
        value, flag, reasons = s.latest()
        assert (value, flag) == (4.5, 3)
        assert reasons & Reason.CLOCK
        assert [f for _, f, _ in s.readings()] == [1, 1, 1, 1, 1, 3]
        assert s.rows("SELECT highs FROM ingest_batch ORDER BY batch_id DESC LIMIT 1") == [([float("inf")],)]
        await s.look()  # once
        assert s.rows("SELECT count(*) FROM ingest_batch") == [(7,)]

    site(scene, {3: 4.0})


def test_a_feed_that_is_always_late_by_no_whole_hour_is_no_clock(site):
    async def scene(s: Site) -> None:
        await s.take(*series([4.7, 4.85], delay=timedelta(0))[:1])
        at = datetime.now(UTC) - 41 * MINUTE
        await s.take((at, 4.85, "m", 40 * MINUTE))
        await s.look()
        assert not any(reasons & Reason.CLOCK for _, _, reasons in s.readings())

    site(scene)


def test_a_registered_delay_of_an_hour_is_no_clock(site):
    async def scene(s: Site) -> None:
        await s.take((datetime.now(UTC) - 61 * MINUTE, 4.85, "m", 60 * MINUTE))
        await s.look()
        assert s.latest()[1] == 1

    site(scene, usual_delay=timedelta(hours=1))


def test_a_device_that_spoke_of_today_files_no_reading_in_2020(site):
    old = datetime.now(UTC) - timedelta(days=6 * 365)

    async def scene(s: Site) -> None:
        await s.take(*series([1.0, 1.1]))
        await s.take(*[(old + 10 * MINUTE * i, 1.1, "m", timedelta(0)) for i in range(3)])
        assert [r[0] for r in s.readings()] == [1.0, 1.1]
        assert s.refused() == ["time: far behind what the device said of late: was its clock reset?"] * 3
        again = Ingest(s._database, IngestSettings())  # a worker that has just started knows it as well
        s.ingest = again
        await s.take((old + 50 * MINUTE, 1.1, "m", timedelta(0)))
        assert len(s.readings()) == 2

    site(scene)


def test_an_upload_of_a_devices_memory_is_taken(site):
    old = datetime.now(UTC) - timedelta(days=400)

    async def scene(s: Site) -> None:
        await s.take(*series([1.0, 1.1]))
        await s.take(
            *[(old + 10 * MINUTE * i, 1.1, "m", timedelta(days=400) - 20 * MINUTE) for i in range(12)], together=True
        )
        await s.take(
            (datetime.now(UTC) - timedelta(days=90), 1.3, "m", timedelta(days=90))
        )  # a single one of this season
        assert len(s.readings()) == 15
        assert s.refused() == []

    site(scene)


def test_failed_readings_that_agree_are_a_wrong_limit_and_alarm_in_doubt(site):
    async def scene(s: Site) -> None:
        await s.take(*series([12.0, 12.4]))
        assert [f for _, f, _ in s.readings()] == [4, 4]
        await s.look()
        assert [f for _, f, _ in s.readings()] == [3, 3]  # two over ten minutes
        assert s.latest()[2] == Reason.RANGE | Reason.LIMIT
        assert s.rows("SELECT beyond_since = (SELECT min(observed_at) FROM reading) FROM latest_reading") == [(True,)]
        assert s.rows("SELECT sum(n) FROM reading_hour") == [(2,)]
        await s.take((datetime.now(UTC), 2.0, "m", timedelta(0)))
        await s.look()
        assert s.rows("SELECT beyond_since FROM latest_reading") == [(None,)]

    site(scene, {1: 2.0}, limits=Limits(range_min=-1.0, range_max=5.0))


def test_failed_readings_that_contradict_each_other_stay_failed(site):
    async def scene(s: Site) -> None:
        await s.take(*series([12.0, 55.0, 7.7, 30.0]))
        await s.look()
        assert [f for _, f, _ in s.readings()] == [4, 4, 4, 4]

    site(scene, {1: 2.0}, limits=Limits(range_min=-1.0, range_max=5.0))
