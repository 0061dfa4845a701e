"""Rain: running totals become amounts, and amounts count for the period that they end."""

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.series import QcWindow, append, insert_among
from kawamori.domain.calendar import day_of, hour_of, hour_span
from kawamori.domain.counter import Total, increment, recount
from kawamori.domain.reading import Reading, SensorId
from kawamori.domain.registry import Limits
from kawamori.domain.statement import Statement

START = datetime(2026, 7, 14, tzinfo=UTC)


async def counter(gauges, name="hill"):
    await gauges.station(name, quantity="rainfall")
    await gauges.sql("UPDATE deployment SET counter = true WHERE device_id = %s", f"dev-{name}")


def total(value: float, heard: int = 0) -> Total:
    return Total(Statement(value, START + timedelta(seconds=heard)), START + timedelta(seconds=heard))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 60), st.integers(0, 3)), min_size=1, max_size=20),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
)
def test_totals_in_any_order_give_the_same_amounts(
    told: list[tuple[int, int, int]], chance: random.Random, group: int
) -> None:
    def store(order: list[tuple[int, int, int]], size: int) -> tuple[dict, dict]:
        totals: dict[datetime, Total] = {}
        amounts: dict[datetime, float] = {}
        for i in range(0, len(order), size):
            new = [
                (START + timedelta(minutes=10 * place), total(value / 5, heard)) for place, value, heard in
                order[i : i + size]
            ]  # fmt: skip
            times = [at for at, _ in new]
            before = [at for at in totals if at < min(times)]
            after = [at for at in totals if at > max(times)]
            near = {at: t for at, t in totals.items() if min(times) <= at <= max(times)}
            near |= {at: totals[at] for at in (*sorted(before)[-1:], *sorted(after)[:1])}
            found = recount(near, new)
            totals |= found.totals
            amounts |= {at: amount for at, (amount, _) in found.amounts.items()}
        return totals, amounts

    shuffled = told + chance.sample(told, len(told) // 2)
    chance.shuffle(shuffled)
    totals, amounts = store(told, 1)
    assert store(shuffled, group) == (totals, amounts)
    assert all(amount >= 0 for amount in amounts.values())
    line = sorted(totals)
    assert amounts.keys() == set(line[1:]), "the first total says nothing of what fell"
    assert all(amounts[b] == increment(totals[a].word.value, totals[b].word.value) for a, b in zip(line, line[1:]))  # noqa: B905, RUF007


def test_a_counter_that_was_set_back_has_counted_what_it_shows() -> None:
    assert (increment(12.2, 12.4), increment(12.4, 12.4), increment(12.4, 0.2), increment(0.2, 0.6)) == (
        0.2, 0.0, 0.2, 0.4,
    )  # fmt: skip


@pytest.mark.integration
async def test_a_registered_counter_becomes_increments_and_never_its_own_total(gauges):
    await counter(gauges)
    for minute, value in ((10, 12.2), (20, 12.4), (30, 12.4), (40, 0.2), (50, 0.6)):
        await gauges.tell("dev-hill", (minute, value), quantity="rainfall", unit="mm")
    assert [(m, v) for m, v, _, _ in await gauges.rows("hill")] == [(20, 0.2), (30, 0.0), (40, 0.2), (50, 0.4)]
    assert [(n, round(total, 6)) for _, n, total, _ in await gauges.buckets("hill")] == [(4, 0.8)]
    assert await gauges.derived_are_right()


@pytest.mark.integration
@pytest.mark.parametrize("seed", range(5))
async def test_totals_that_come_late_leave_the_same_rows(gauges, seed):
    chance = random.Random(seed)
    level, totals = 3.0, []
    for n in range(40):
        level = 0.0 if chance.random() < 0.05 else round(level + chance.choice([0, 0, 0.2, 0.4, 7.4]), 1)
        totals.append((10 * n, level))
    kept = []
    for name in ("straight", "mixed"):
        await counter(gauges, name)
        order = totals if name == "straight" else chance.sample(totals, len(totals)) + totals[:7]
        while order:
            size = chance.choice([1, 1, 3, 8])
            await gauges.tell(f"dev-{name}", *order[:size], quantity="rainfall", unit="mm", heard=30_000)
            order = order[size:]
        kept.append((await gauges.rows(name), await gauges.buckets(name), await gauges.buckets(name, "day")))
    assert kept[0] == kept[1]
    assert len(kept[0][0]) == 39
    assert await gauges.derived_are_right()


@pytest.mark.integration
async def test_an_amount_stamped_at_ten_fell_between_nine_and_ten(gauges):
    await gauges.station("pass", quantity="rainfall")
    await gauges.tell("dev-pass", *((m, 1.0) for m in range(10, 130, 10)), quantity="rainfall", unit="mm", heard=9000)
    hours = [(bucket.hour, n, total) for bucket, n, total, _ in await gauges.buckets("pass")]
    assert hours == [(0, 6, 6.0), (1, 6, 6.0)]
    await gauges.tell("dev-pass", (60, 3.0), quantity="rainfall", unit="mm", heard=9001)  # restated: summed anew
    assert (await gauges.buckets("pass"))[0][2] == 8.0
    midnight = (datetime(2026, 7, 14, 15, tzinfo=UTC) - START) / timedelta(minutes=1)
    await gauges.tell("dev-pass", (midnight, 5.0), quantity="rainfall", unit="mm", heard=60_000)
    assert [total for _, _, total, _ in await gauges.buckets("pass", "day")] == [19.0]
    assert await gauges.derived_are_right()


ZONES = [
    "Asia/Tokyo",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "America/St_Johns",
]


@pytest.mark.integration
@pytest.mark.parametrize("zone", ZONES)
async def test_hours_are_those_of_postgresql_by_the_stations_clock_whenever_it_is_set(gauges, zone):
    moments = [
        datetime(year, month, 1, tzinfo=UTC) + timedelta(minutes=7 * n)
        for year, month in ((2025, 4), (2025, 10), (2026, 3), (2026, 11)) for n in range(2000)
    ]  # fmt: skip
    found = await gauges.sql(
        "SELECT date_trunc('hour', at, %s), date_trunc('day', at, %s) FROM unnest(%s::timestamptz[]) at", zone, zone,
        moments,
    )  # fmt: skip
    place = ZoneInfo(zone)
    assert [(hour_of(at, place), day_of(at, place)[0]) for at in moments] == found
    for at in moments:
        hour, start, stop = hour_span(at, place)
        assert start <= at < stop
        assert {hour_of(start, place), hour_of(stop - timedelta(microseconds=1), place)} == {hour}
        assert hour not in (hour_of(start - timedelta(microseconds=1), place), hour_of(stop, place))


@pytest.mark.integration
@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Australia/Lord_Howe"])
async def test_hours_of_clocks_that_are_half_an_hour_off_hold_what_was_measured_in_them(gauges, zone):
    await gauges.station("far", time_zone=zone)
    first = (datetime(2026, 4, 4, 12, tzinfo=UTC) - START) / timedelta(minutes=1)  # Lord Howe sets its clock at 15:00
    minutes = [first + 10 * n for n in range(36)]
    random.Random(1).shuffle(minutes)
    for m in minutes:
        await gauges.tell("dev-far", (m, 1 + m / 1e6), heard=3600)
    assert await gauges.derived_are_right()
    for m in minutes[::5]:
        await gauges.tell("dev-far", (m, 0.5), heard=3700)
    assert await gauges.derived_are_right()


AMOUNTS = Limits(range_min=0, range_max=200, is_amount=True)


def flags(values: list[float], every: float = 10) -> list[int]:
    tail, rows = QcWindow(), {}
    for n, value in enumerate(values):
        at = START + timedelta(minutes=every * n)
        outcome = append(tail, [Reading(SensorId(1), at, value, at)], AMOUNTS, timedelta(minutes=30))
        tail = outcome.tail
        rows |= {r.observed_at: r for r in (*outcome.added, *(after for _, after in outcome.changed))}
    return [int(r.flag) for _, r in sorted(rows.items())]


def test_amounts_that_look_like_a_counter_are_in_doubt_and_rain_is_not() -> None:
    assert flags([12.2, 12.4, 12.4, 0.2, 0.6]) == [1, 1, 3, 1, 1], "a counter in a shower, and its reset"
    assert 3 in flags([3.4] * 24), "a counter in dry weather"
    assert flags([2.0] * 13) == [1] * 13, "two hours of steady rain"
    assert 3 not in flags([0.5, 0.5, 1.0, 2.5, 6.0, 11.5, 18.0, 22.5, 14.0, 9.5, 4.0, 1.0]), "a cloudburst"
    assert 3 not in flags([10.5, 12.0, 15.5, 14.5, 16.0, 19.5] * 4), "a typhoon's night"
    assert 3 not in flags([0.2] * 40), "drizzle"
    assert 3 not in flags([12.0, 12.4, 12.4, 12.4], every=60), "an hourly gauge"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([0.0, 2.0, 2.0, 12.2, 12.4, 12.6]), min_size=1, max_size=70), st.randoms())
def test_amounts_in_any_order_are_judged_the_same(values: list[float], chance: random.Random) -> None:
    readings = [
        Reading(SensorId(1), START + timedelta(minutes=10 * n), v, START + timedelta(minutes=10 * n))
        for n, v in enumerate(values)
    ]
    mixed = chance.sample(readings, len(readings))
    tail, rows = QcWindow(), {}
    size = chance.choice([1, 3, 20])
    for i in range(0, len(mixed), size):
        context = [rows[at] for at in sorted(rows)]
        outcome = insert_among(tail, [context], mixed[i : i + size], AMOUNTS, timedelta(minutes=30))
        tail = outcome.tail
        rows |= {r.observed_at: r for r in (*outcome.added, *(after for _, after in outcome.changed))}
    assert [int(rows[at].flag) for at in sorted(rows)] == flags(values)
