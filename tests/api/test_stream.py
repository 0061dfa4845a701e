"""The live stream: nothing skipped, nobody slowed, everybody let go in time."""

import asyncio
import socket
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from api.contract import schemas
from api.live.level_events import LiveLevels
from api.live.levels import Levels
from api.live.stream import HEARTBEAT_S, Hub, LiveFeed, Position, frame
from api.registry_cache import RegistryCache
from kawamori.runtime import now
from kawamori.storage.changes import Cursor
from kawamori.storage.database import Database
from kawamori.storage.news import BATCHES, STREAM_READINGS, newest

pytestmark = pytest.mark.integration
MINUTE = timedelta(minutes=1)


def values(events):
    return [r["value"] for e in events if e["event"] == "reading" for r in e["data"]["readings"]]


def has(value):
    return lambda event: value in values([event])


def ago(minutes):
    return datetime.now(UTC) - timedelta(minutes=minutes)


def registry(rows):
    ((version,),) = rows.sql("SELECT version FROM registry_version")
    return {"version": version}


def first_heartbeat(stream):
    return stream.until(lambda e: e["event"] == "heartbeat")[-1]


@pytest.fixture(scope="module")
def sensor(rows):
    return rows.station("live")


def test_a_committed_batch_is_heard_within_a_second(api, rows, sensor):
    with api.stream() as stream:
        first_heartbeat(stream)
        at = ago(10).replace(microsecond=0)
        began = time.monotonic()
        rows.batch(sensor, [1.25], start=at)
        (reading,) = stream.until(has(1.25))[-1]["data"]["readings"]
        assert time.monotonic() - began < 1
    assert reading.pop("received_at")
    assert datetime.fromisoformat(reading.pop("time")) == at
    assert reading == {"station_id": "live", "sensor_id": sensor, "quantity": "water_level", "value": 1.25, "flag": 1}


def rows_of(event):
    return {row["station_id"]: row for row in event["data"]["stations"]} if event["event"] == "level" else {}


def test_a_row_that_changes_is_streamed_as_the_server_judges_it_and_the_others_are_not(api, rows):
    judged = rows.station("judged", thresholds={1: 1.0, 2: 2.0})
    rows.newest(rows.station("unchanged", thresholds={1: 1.0}), 0.5)
    rows.newest(judged, 1.5)
    with api.stream() as stream:
        first_heartbeat(stream)
        stream.until(lambda e: rows_of(e).get("judged", {}).get("level_m") == 1.5)
        rows.newest(judged, 2.5)
        rows.batch(judged, [2.5], start=ago(0.5))
        heard = stream.until(lambda e: rows_of(e).get("judged", {}).get("level_m") == 2.5)
    event = heard[-1]
    assert list(rows_of(event)) == ["judged"], "an age alone is nothing new"
    found = schemas.LevelsLatest.model_validate(event["data"])
    whole = next(s for s in api.json("/levels/latest")["stations"] if s["station_id"] == "judged")
    assert (found.stations[0].flood_level, found.stations[0].freshness) == (2, "fresh")
    assert rows_of(event)["judged"].keys() == whole.keys()


async def test_what_changes_while_nobody_listens_is_told_to_none_and_lost_to_none(rows):
    sensor = rows.station("unheard", thresholds={1: 1.0})
    rows.newest(sensor, 0.5)
    async with Database(rows.url, "test") as database:
        hub, directory = Hub(), RegistryCache(database, now)
        live = LiveLevels(Levels(database, directory, now), LiveFeed(database, directory, now, hub))
        assert await live.look() == 0
        rows.newest(sensor, 1.5)
        client = hub.join()  # it fetches all rows after joining: before or after the change is the same to it
        assert await live.look() == 1
        assert await live.look() == 0
        hub.leave(client)


def test_the_stream_is_never_cached_or_buffered(api):
    with api.stream() as stream:
        headers = stream.response.headers
    assert headers["content-type"].startswith("text/event-stream")
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-cache", "no")


def test_heartbeats_tell_until_when_the_stream_is_complete(api):
    with api.stream() as stream:
        one, two = first_heartbeat(stream), first_heartbeat(stream)
    times = [datetime.fromisoformat(e["data"]["as_of"]) for e in (one, two)]
    assert timedelta(0) < times[1] - times[0] < timedelta(seconds=HEARTBEAT_S + 2)
    Position.parse(one["id"])
    assert "page" in one["data"]


def test_a_client_that_comes_back_misses_nothing(api, rows, sensor):
    with api.stream() as stream:
        first_heartbeat(stream)
        rows.batch(sensor, [2.0], start=ago(9))
        stream.until(has(2.0))
        last_id = stream.last_id
    missed = [2.0 + n / 100 for n in range(1, 100)]
    for n, value in enumerate(missed):
        rows.batch(sensor, [value], start=ago(8) + timedelta(seconds=n))
    with api.stream(last_id) as stream:
        rows.batch(sensor, [3.5], start=ago(1))
        heard = stream.until(has(3.5))
    assert [v for v in dict.fromkeys(values(heard)) if v != 3.5] == missed
    assert 2.0 not in values(heard)


async def test_a_client_that_resumes_before_the_follower_has_begun_misses_nothing(rows, sensor):
    last_id = f"{rows.batch(sensor, [7.0], start=ago(3))}-0-0"
    async with Database(rows.url, "test") as database:
        feed = LiveFeed(database, RegistryCache(database, now), now, Hub())
        stream = feed.subscribe(last_id)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            while b"event: heartbeat" not in await anext(stream):
                pass
            rows.batch(sensor, [7.25], start=ago(2))  # the client has been told what it missed; nobody follows yet
            follower = group.create_task(feed.follow(asyncio.Event()))
            while b'"value":7.25' not in await anext(stream):
                pass
            await stream.aclose()
            follower.cancel()


def test_a_query_parameter_resumes_too(api, rows, sensor):
    with api.stream() as stream:
        last_id = first_heartbeat(stream)["id"]
    rows.batch(sensor, [4.25], start=ago(7))
    with api.http.stream("GET", "/api/v1/stream", params={"last_event_id": last_id}) as response:
        assert any('"value":4.25' in line for line in response.iter_lines() if line.startswith("data"))


@pytest.mark.parametrize(
    "last_id",
    ["nonsense", "1-2", "1-2-3", "-1-2-3-4", "1-99999999999999999999-1-1", "999999-999999-0-0", "٣-٣-٣-٣", "0-0-0-0"],
)
def test_an_id_that_cannot_be_resumed_asks_for_a_fresh_start_and_goes_live(api, rows, sensor, last_id):
    with api.http.stream("GET", "/api/v1/stream", params={"last_event_id": last_id}) as response:
        lines = response.iter_lines()
        assert next(line for line in lines if line.startswith("event")) == "event: resync"
        next(line for line in lines if line == "event: heartbeat")
        rows.batch(sensor, [5.5], start=ago(6))
        assert any('"value":5.5' in line for line in lines if line.startswith("data"))


def test_a_batch_that_commits_after_a_later_one_is_not_skipped(api, rows, sensor):
    with api.stream() as stream, psycopg.connect(rows.url) as slow:
        first_heartbeat(stream)
        rows.batch(sensor, [6.1], start=ago(5), connection=slow)
        rows.batch(sensor, [6.2], start=ago(4))
        slow.commit()
        heard = stream.until(has(6.2))
    assert values(heard) == [6.1, 6.2]


def test_of_a_backfill_only_the_newest_readings_travel(api, rows):
    sensor = rows.station("backfilled")
    with api.stream() as stream:
        first_heartbeat(stream)
        rows.batch(sensor, [float(n) for n in range(1000)], start=ago(2000))
        heard = stream.until(has(999.0))
    assert values(heard) == [float(n) for n in range(950, 1000)]


def test_an_alert_is_heard_as_the_list_shows_it(api, rows, sensor):
    with api.stream() as stream:
        first_heartbeat(stream)
        number = rows.alert("live", sensor, started_at=ago(3))
        event = stream.until(lambda e: e["event"] == "alert" and e["data"]["id"] == number)[-1]
    schemas.Alert.model_validate(
        event["data"]
        | {
            "started_at": datetime.fromisoformat(event["data"]["started_at"]),
            "recorded_at": datetime.fromisoformat(event["data"]["recorded_at"]),
        }
    )
    assert event["data"] == next(a for a in api.json("/alerts")["alerts"] if a["id"] == number)


def test_alerts_that_changed_meanwhile_are_heard_after_coming_back(api, rows, sensor):
    with api.stream() as stream:
        last_id = first_heartbeat(stream)["id"]
    numbers = [rows.alert("live", sensor, started_at=ago(200 - n)) for n in range(30)]
    with api.stream(last_id) as stream:
        heard = stream.until(lambda e: e["event"] == "heartbeat")
    assert set(numbers) <= {e["data"]["id"] for e in heard if e["event"] == "alert"}


def test_a_registered_station_is_announced(api, rows):
    with api.stream() as stream:
        first_heartbeat(stream)
        rows.station("newcomer")
        stream.until(lambda e: e["event"] == "station")
    assert api.get("/stations/newcomer").status_code == 200


@pytest.mark.parametrize("last_id", [None, "nonsense"])
def test_a_station_registered_meanwhile_is_told_to_whoever_comes_back_even_to_another_server(
    api, rows, serve_again, last_id
):
    with api.stream() as stream:
        last_id = last_id or first_heartbeat(stream)["id"]
        rows.station(f"meanwhile-{last_id}")
        stream.until(lambda e: e["event"] == "station" and e["data"] == registry(rows))
    for server in (api, None):
        with nullcontext(server) if server else serve_again() as served, served.stream(last_id) as stream:
            heard = stream.until(lambda e: e["event"] == "heartbeat" and e["data"]["as_of"])
            assert [e["data"] for e in heard if e["event"] == "station"] == [registry(rows)]


def test_a_fresh_client_is_told_of_no_station(api):
    with api.stream() as stream:
        assert [e["event"] for e in stream.until(lambda e: e["event"] == "heartbeat")] == ["heartbeat"]


async def test_a_threshold_that_comes_into_force_by_the_clock_is_announced_once(rows):
    rows.station("dated", thresholds={2: 2.0})
    rows.sql("INSERT INTO threshold (station_id, level, valid_from, value_m) VALUES ('dated', 3, '2030-01-01Z', 3.0)")
    at = before = datetime(2029, 12, 31, 23, 59, 30, tzinfo=UTC)
    async with Database(rows.url, "test") as database:
        hub = Hub()
        directory = RegistryCache(database, lambda: at, steady=lambda: at.timestamp())  # noqa: PLW0108 - `at` moves
        feed = LiveFeed(database, directory, lambda: at, hub)
        hub.position = Position(*await newest(database))
        client = hub.join()
        assert [t.level for t in (await directory.get()).thresholds["dated"]] == [2], "what the page was given"
        for seconds in (0, 20, 61, 80, 150, 220):
            at = before + timedelta(seconds=seconds)
            await feed.catch_up()
            hub.publish(frame("after", seconds))
        in_force = (await directory.get()).thresholds["dated"]
        hub.publish(b"end")
        told = []
        async for what in client.frames():
            if what == b"end":
                break
            told.append(what)
    assert [t.level for t in in_force] == [2, 3]
    kinds = [what.split(b"\n")[0].removeprefix(b"event: ") for what in told]
    assert kinds == [b"after", b"after", b"station", b"after", b"after", b"after", b"after"]


async def test_a_clock_that_is_set_back_an_hour_keeps_no_dated_fact_from_coming_into_force(rows):
    rows.station("set_back", thresholds={2: 2.0})
    at, passed = datetime.now(UTC), 0.0
    async with Database(rows.url, "test") as database:
        directory = RegistryCache(database, lambda: at, lambda: passed)
        assert [t.level for t in (await directory.get()).thresholds["set_back"]] == [2]
        rows.sql("ALTER TABLE threshold DISABLE TRIGGER registry_changed")
        rows.sql(
            "INSERT INTO threshold (station_id, level, valid_from, value_m) VALUES ('set_back', 3, '2020-01-01Z', 3.0)"
        )
        rows.sql("ALTER TABLE threshold ENABLE TRIGGER registry_changed")
        at -= timedelta(hours=1)
        passed += 61
        assert [t.level for t in (await directory.get()).thresholds["set_back"]] == [2, 3]


async def test_a_registration_during_a_reading_of_the_registry_is_read_too(rows):
    class Overtaken(RegistryCache):
        async def _read(self):
            found = await super()._read()
            if "overtaking" not in found.registry.stations:
                rows.station("overtaking")
                self.forget()
            return found

    async with Database(rows.url, "test") as database:
        directory = Overtaken(database, now)
        assert "overtaking" in (await directory.get()).registry.stations


def test_a_slow_client_is_told_and_let_go_without_slowing_the_others():
    async def scene() -> None:
        hub = Hub()
        slow, quick = hub.join(size=8), hub.join(size=8)
        heard = []

        async def listen() -> None:
            heard.extend([what async for what in quick.frames()])

        listener = asyncio.create_task(listen())
        for n in range(50):
            hub.publish(frame("reading", n, Position(Cursor(1, n))))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        left = [what async for what in slow.frames()]
        hub.close()
        await listener
        assert len(heard) == 50
        assert left == [frame("resync", {"reason": "fell behind"})]
        assert slow.ended

    asyncio.run(scene())


def test_a_client_that_joins_after_the_end_is_sent_away_at_once():
    async def scene() -> None:
        hub = Hub()
        hub.close()
        assert [what async for what in hub.join().frames()] == []

    asyncio.run(scene())


def test_one_client_too_many_is_told_to_try_again_and_a_seat_that_is_left_is_free(serve_again, wait_until):
    with serve_again(api={"stream_clients": 2}) as api, api.stream() as one:
        first_heartbeat(one)
        with api.stream() as two:
            first_heartbeat(two)
            for _ in range(5):  # a refusal takes no seat
                refused = api.get("/stream")
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
                assert schemas.Problem.model_validate_json(refused.content).status == 503
            assert api.get("/site").status_code == 200

        def seated():
            with api.http.stream("GET", "/api/v1/stream") as response:
                return response.status_code == 200

        wait_until(seated, 5, "the seat that was left is free")
        first_heartbeat(one)


def test_the_service_ends_within_two_seconds_with_clients_on_the_stream(serve_again):
    with serve_again() as api:
        with api.stream() as one, api.stream() as two:
            for stream in (
                one,
                two,
            ):  # one before the follower has begun may have another behind it
                stream.until(lambda e: e["event"] == "heartbeat" and e["data"]["as_of"])
            began = time.monotonic()
            api.stop()
            assert time.monotonic() - began < 2
            assert list(one) == []
        with pytest.raises(httpx.ConnectError):
            api.get("/site")


async def test_a_client_who_comes_while_nobody_listened_hears_what_is_being_read(rows, sensor):
    """The follower leaves readings unread while nobody listens; one who joins in the middle must not miss them."""

    class Meanwhile(RegistryCache):
        client = None

        async def get(self, version=0):
            if self.client is None:
                self.client = hub.join()
            return await super().get(version)

    async with Database(rows.url, "test") as database:
        hub = Hub()
        directory = Meanwhile(database, now)
        feed = LiveFeed(database, directory, now, hub)
        hub.position = Position(Cursor.parse(rows.batch(sensor, [1.0], start=ago(3))))
        rows.batch(sensor, [6.25], start=ago(2))
        while await feed.catch_up():
            pass
        async with asyncio.timeout(5):
            async for what in directory.client.frames():
                if b"6.25" in what:
                    break


SENSORS, BATCHES_AT_ONCE = 200, 20
#: Of each sensor as many readings a batch as travel, a second apart, the batches one after the other.
MANY = f"""
WITH sensors AS (
    SELECT sensor_id FROM sensor WHERE station_id LIKE 'many-%'
), batches AS (
    SELECT b, now() - interval '1 day' + b * interval '1 hour' AS start FROM generate_series(1, {BATCHES_AT_ONCE}) b
), stored AS (
    INSERT INTO reading SELECT sensor_id, start + n * interval '1 second', b, 1, 0, now()
    FROM batches, sensors, generate_series(1, {STREAM_READINGS}) n
)
INSERT INTO ingest_batch (readings, sensor_ids, starts, ends)
SELECT count(*) * {STREAM_READINGS}, array_agg(sensor_id), array_agg(start), array_agg(start + interval '1 minute')
FROM batches, sensors GROUP BY b
"""


def test_however_much_comes_at_once_whoever_reads_hears_all_of_it(api, rows):
    rows.station("many-1")
    rows.sql(
        "INSERT INTO station (station_id, name_ja, name_en, river_id) SELECT 'many-' || n, 'm', 'm', 'kuji'"
        " FROM generate_series(2, %s) n", SENSORS,
    )  # fmt: skip
    rows.sql("INSERT INTO sensor (station_id, quantity) SELECT station_id, 'water_level' FROM station"
             " WHERE station_id LIKE 'many-%%' AND station_id <> 'many-1'")  # fmt: skip
    wanted, heard, beats = SENSORS * BATCHES_AT_ONCE * STREAM_READINGS, 0, []
    where = urlsplit(api.url)
    with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
        connection.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: kawamori\r\n\r\n")
        for line in connection.makefile("rb"):
            assert b"event: resync" not in line
            heard += line.count(b'"station_id":"many-') if b'"readings"' in line else 0
            if line == b"event: heartbeat\n":
                beats.append(time.monotonic())
                if len(beats) == 1:
                    rows.sql(MANY)
            if heard >= wanted:
                break
    took = time.monotonic() - beats[0]
    print(f"{heard:,} readings in {BATCHES_AT_ONCE} batches at once: heard within {took:.1f} s")
    assert heard == wanted
    assert max(later - earlier for earlier, later in pairwise([*beats, beats[0] + took])) < HEARTBEAT_S + 2


async def test_the_stream_is_complete_only_until_the_question_and_only_when_nothing_waits(rows, sensor):
    async with Database(rows.url, "test") as database:
        hub = Hub()
        feed = LiveFeed(database, RegistryCache(database, now), now, hub)
        hub.position = Position(*(await newest(database)))
        client = hub.join()
        for n in range(BATCHES + 1):
            rows.batch(sensor, [n / 10], start=ago(3) + timedelta(seconds=n))
        assert await feed.catch_up()
        assert feed.read_at is None, "one batch still waits"
        with psycopg.connect(rows.url) as slow:
            slow.execute("LOCK TABLE ingest_batch")  # the answer takes its time
            asked = datetime.now(UTC)
            asking = asyncio.create_task(feed.catch_up())
            await asyncio.sleep(1)
        await asking
        assert abs(feed.read_at - asked) < timedelta(seconds=0.5)
        hub.leave(client)
