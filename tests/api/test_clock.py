"""Whose clock the API goes by: the database's, whatever this host's says."""

from datetime import UTC, datetime, timedelta

import pytest

from api.clock import DatabaseClock
from api.contract import schemas
from api.live.levels import Levels
from api.read.system import host_clock as system_clock
from api.registry_cache import RegistryCache
from kawamori.storage.database import Database

NOW = datetime(2026, 7, 14, 2, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Times:
    """A host whose clock somebody sets, and its steady one."""

    def __init__(self, host: datetime) -> None:
        self.host, self.steady = host, 100.0

    def pass_(self, seconds: float) -> None:
        self.host += seconds * SECOND
        self.steady += seconds


def clock_of(times: Times) -> DatabaseClock:
    return DatabaseClock(host=lambda: times.host, steady=lambda: times.steady)


def test_it_goes_on_from_the_databases_answer_by_the_steady_clock():
    times = Times(NOW - timedelta(hours=2))
    clock = clock_of(times)
    assert (clock(), clock.host_off) == (times.host, None), "nothing better is known yet"
    times.pass_(0.5)
    clock.learn(NOW, asked=100.0)
    assert clock() == NOW + 0.25 * SECOND, "half of the way there and back"
    times.pass_(10)
    assert clock() == NOW + 10.25 * SECOND
    times.host -= timedelta(hours=1)
    assert clock() == NOW + 10.25 * SECOND, "a host's clock that is set back moves nothing"


def test_a_host_that_is_ahead_or_behind_is_measured():
    times = Times(NOW + 7 * SECOND)
    clock = clock_of(times)
    clock.learn(NOW, asked=times.steady)
    assert clock.host_off == 7 * SECOND


@pytest.mark.integration
@pytest.mark.parametrize("off", [timedelta(hours=-2), timedelta(hours=2)])
async def test_on_a_host_with_a_wrong_clock_a_dead_station_is_dead_and_a_fresh_one_fresh(rows, off):
    name = f"host_{off.total_seconds():.0f}".replace("-", "m")
    rows.newest(rows.station(f"{name}_dead"), 1.0, minutes_ago=60)
    rows.newest(rows.station(f"{name}_fresh"), 1.0, minutes_ago=1)
    clock = DatabaseClock(host=lambda: datetime.now(UTC) + off)
    async with Database(rows.url, "test") as database:
        await clock.ask(database)
        body, _ = await Levels(database, RegistryCache(database, clock), clock).now([f"{name}_dead", f"{name}_fresh"])
    assert {s["station_id"]: s["freshness"] for s in body["stations"]} == {
        f"{name}_dead": "dead",
        f"{name}_fresh": "fresh",
    }


@pytest.mark.integration
def test_what_was_measured_in_the_future_is_dead_and_no_link_is_blamed(api, rows):
    rows.newest(rows.station("to_come", thresholds={1: 1.0}), 5.9, minutes_ago=-60)
    rows.newest(rows.station("a_little_ahead"), 1.1, minutes_ago=-2)
    found = {s.station_id: s for s in schemas.LevelsLatest.model_validate(api.json("/levels/latest")).stations}
    assert (found["to_come"].freshness, found["to_come"].silence) == ("dead", None)
    assert found["a_little_ahead"].freshness == "fresh"


@pytest.mark.integration
def test_the_hosts_clock_is_measured_on_the_system_view(api):
    clock = schemas.System.model_validate(api.json("/system")).clock
    assert clock is not None
    assert clock.ok
    assert abs(clock.host_ahead_s) < 5
    assert system_clock(timedelta(seconds=-7)) == {"host_ahead_s": -7.0, "ok": False}
    assert system_clock(None) is None
