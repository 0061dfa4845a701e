"""The same readings give the same alerts, whatever order they came in, however often, and wherever the engine died."""

import asyncio
import json
import os
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from alerts.engine import FOLLOWER
from ingest.batches import Ingest
from kawamori.domain.reading import FLAGS, Reading, SensorId, StationId
from kawamori.domain.rules import Episode, SeriesRule
from kawamori.domain.rules.forecast import ForecastRule
from kawamori.domain.rules.level import LevelWatch
from kawamori.domain.rules.rise import RiseRule
from kawamori.settings import IngestSettings
from kawamori.storage.changes import hold_cursor, move_cursor, newest_change
from kawamori.storage.database import Database
from kawamori.storage.registry import load_registry

pytestmark = pytest.mark.integration

START = datetime(2026, 7, 14, tzinfo=UTC)
#: How many rivers each test tries; more by hand.
TRIES = int(os.environ.get("KAWAMORI_TEST_TRIES", "25"))
_names = count()


@dataclass(frozen=True)
class Case:
    """Readings, the rules that judge them, and how one site receives them."""

    #: (minute after START, metres), in order of measurement.
    line: tuple[tuple[float, float], ...]
    level: dict[str, Any]
    rise: dict[str, Any] | None
    forecast: dict[str, Any] | None
    #: Engines page while evidence is fresh: then what is gone is withdrawn rather than forgotten.
    fresh: bool
    chance: random.Random


@st.composite
def cases(draw: st.DrawFn) -> Case:
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from([1, 5, 10, 10, 10, 20, 45]),
                st.sampled_from([0.0, 0.0, 0.05, -0.04, 0.3, -0.3, 0.7, -0.7, 2.5, -2.5]),
            ),
            min_size=1,
            max_size=45,
        )
    )
    minute, value, line = 0.0, draw(st.sampled_from([0.5, 1.5, 3.2])), []
    for step, change in steps:
        minute += step
        value = max(-1.0, round(value + change, 2))
        line.append((minute, value))
    level = {
        "hold": draw(st.sampled_from(["PT0S", "PT0S", "PT10M", "PT25M"])),
        "consecutive": draw(st.sampled_from([1, 1, 2, 3])),
        "keep_firing": draw(st.sampled_from(["PT0S", "PT0S", "PT20M"])),
    }
    rise = draw(st.sampled_from([None, None, {}, {"rise_m": 0.2, "window": "PT1H", "keep_firing": "PT0S"}]))
    forecast = draw(st.sampled_from([None, None, {}, {"min_level": 1, "within": "PT2H"}]))
    return Case(tuple(line), level, rise, forecast, draw(st.booleans()), draw(st.randoms(use_true_random=False)))


def steady(chance: random.Random) -> Case:
    """A flood that takes all levels, steadily enough to be foreseen."""
    line = [(10.0 * i, round(0.5 + 0.08 * i, 2)) for i in range(50)] + [
        (500.0 + 10 * i, round(4.5 - 0.2 * i, 2)) for i in range(20)
    ]
    return Case(tuple(line), {}, {"rise_m": 0.2}, {}, True, chance)


async def register(rivers: Any, name: str, case: Case) -> None:
    await rivers.station(name)
    for kind, parameters in (("level", case.level), ("rise", case.rise), ("forecast", case.forecast)):
        if parameters is not None:
            await rivers.sql(
                "INSERT INTO alert_rule (kind, station_id, parameters, valid_from, author)"
                " VALUES (%s, %s, %s::jsonb, '2020-01-01Z', 'test')",
                kind, name, json.dumps(parameters),
            )  # fmt: skip


async def in_order(rivers: Any, name: str, case: Case) -> None:
    """One reading after the other, one engine that sees each at once."""
    engine = rivers.engine()
    for minute, value in case.line:
        await rivers.measure((name, minute, value))
        while await engine.advance():
            pass


async def anyhow(rivers: Any, name: str, case: Case) -> None:
    """In any order, some of it twice or more, in batches; ingest and engine begin anew at any point."""
    chance = case.chance
    way = list(case.line) + [chance.choice(case.line) for _ in range(chance.randrange(0, len(case.line) + 1))]
    how = chance.choice(["shuffled", "newest first", "a late stretch", "in order"])
    if how == "shuffled":
        chance.shuffle(way)
    elif how == "newest first":
        way.sort(reverse=True)
    elif how == "a late stretch":
        way.sort()
        first = chance.randrange(len(way))
        last = min(len(way), first + chance.randrange(1, 12))
        way = way[:first] + way[last:] + way[first:last]
    engine = rivers.engine()
    while way:
        size = chance.choice([1, 1, 2, 3, 8])
        batch, way = way[:size], way[size:]
        await rivers.measure(*((name, minute, value) for minute, value in batch))
        if chance.random() < 0.1:
            rivers.ingest = Ingest(rivers.database, IngestSettings())
        if chance.random() < 0.2:
            engine = await successor(rivers)
        if chance.random() < 0.6:
            while await engine.advance():
                pass
    engine = await successor(rivers) if chance.random() < 0.5 else engine
    while await engine.advance():
        pass


async def successor(rivers: Any) -> Any:
    """The engine died; its lease has run out, and another takes over."""
    await rivers.sql("UPDATE lease SET until = clock_timestamp() - interval '1 second'")
    return rivers.engine()


async def forget(database: Database) -> None:
    """What another case left unseen is not this one's."""
    async with database.transaction() as connection:
        await hold_cursor(connection, FOLLOWER)
        await move_cursor(connection, FOLLOWER, await newest_change(connection))
        await connection.execute("UPDATE lease SET until = clock_timestamp() - interval '1 second'")


async def history(rivers: Any, name: str) -> list[tuple[Any, ...]]:
    return await rivers.sql(
        "SELECT kind, flood_level, started_at, ended_at, value_m, peak_m, verified, state FROM alert"
        " WHERE retracted_at IS NULL AND station_id = %s ORDER BY kind, started_at, flood_level", name,
    )  # fmt: skip


async def as_the_rules_say(rivers: Any, name: str, case: Case) -> list[tuple[Any, ...]]:
    """What the pure rules find in the readings as they are stored, all at once."""
    registry = await load_registry(rivers.database)
    thresholds = registry.thresholds[StationId(name)]
    watches: list[Any] = [LevelWatch(thresholds)]
    rules: list[SeriesRule] = []
    if case.rise is not None:
        rules.append(msgspec.convert(case.rise, RiseRule, strict=False))
    if case.forecast is not None:
        rules.append(msgspec.convert(case.forecast, ForecastRule, strict=False))
    watches += [rule.watch(thresholds) for rule in rules]
    rows = await rivers.sql(
        "SELECT observed_at, value, flag, reasons FROM reading JOIN sensor USING (sensor_id) WHERE station_id = %s"
        " ORDER BY 1", name,
    )  # fmt: skip
    assert [((at - START) / timedelta(minutes=1)) for at, *_ in rows] == [minute for minute, _ in case.line]
    found: list[Episode] = []
    for watch in watches:
        for at, value, flag, reasons in rows:
            found += watch.feed(Reading(SensorId(1), at, value, at, FLAGS[flag], reasons))
        found += watch.lasting()
    found.sort(key=lambda e: (e.kind, e.started_at, e.level))
    return [(e.kind, e.level, e.started_at, e.ended_at, e.value_m, e.peak_m, e.verified, state(e)) for e in found]


def state(episode: Episode) -> str:
    if episode.pending:
        return "pending"
    if episode.ended_at is None:
        return "firing"
    return "resolved" if episode.verified else "withdrawn"


@settings(
    max_examples=TRIES, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(cases())
@example(steady(random.Random(1)))
@example(steady(random.Random(2)))
def test_any_order_repetition_lateness_and_restart_gives_the_same_history(
    database_url: str, rivers_on: Any, case: Case
) -> None:
    async def scene() -> None:
        async with Database(database_url, "test", size=3) as database:
            rivers = rivers_on(database)
            rivers.clock = START + timedelta(minutes=case.line[-1][0] + (5 if case.fresh else 5000))
            await forget(database)
            straight, mixed = f"straight{next(_names)}", f"mixed{next(_names)}"
            for name in (straight, mixed):
                await register(rivers, name, case)
            await in_order(rivers, straight, case)
            await successor(rivers)
            await anyhow(rivers, mixed, case)
            expected = await as_the_rules_say(rivers, straight, case)
            assert await as_the_rules_say(rivers, mixed, case) == expected
            assert await history(rivers, straight) == expected, "in order"
            assert await history(rivers, mixed) == expected, "anyhow"

    asyncio.run(scene())


async def test_a_late_reading_may_split_an_alert_and_another_join_it_again(rivers: Any) -> None:
    await rivers.stations(1)
    engine = rivers.engine()

    async def spans() -> list[tuple[float, float | None]]:
        rows = await rivers.sql("SELECT started_at, ended_at FROM alert WHERE retracted_at IS NULL ORDER BY started_at")
        return [tuple(t and (t - START) / timedelta(minutes=1) for t in row) for row in rows]

    await rivers.rise(engine, *[("s0", m, 1.2 if m else 0.5) for m in range(0, 60, 10)])
    assert await spans() == [(10, None)]
    await rivers.rise(engine, ("s0", 35, 0.8))
    assert await spans() == [(10, 35), (40, None)]
    await rivers.rise(engine, ("s0", 15, 0.8))
    assert await spans() == [(10, 15), (20, 35), (40, None)]
    await rivers.rise(engine, ("s0", 35, 1.2))  # of two values stated at one time the higher stands
    await rivers.rise(engine, ("s0", 15, 1.2))
    assert await spans() == [(10, None)]
    await rivers.rise(engine, ("s0", 10, 3.2), ("s0", 5, 1.2))
    assert await spans() == [(5, None), (10, 15), (10, 15)]
