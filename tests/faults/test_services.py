"""Services are killed at their fail points, between any two steps that matter."""

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

#: Each with the passages within which it is to strike: a busy point is passed many times a second.
POINTS = {
    "gateway": {"received": 60, "journalled": 60, "acknowledged": 60, "heard_ack": 20},
    "ingest": {"received": 12, "copied": 12, "committed": 12, "acknowledged": 60},
    "alerts": {"evaluated": 15, "committed": 15, "sent": 15},
    "api": {"read": 15},
}
LOW, HIGH, STEP, HYSTERESIS = 1.0, 2.0, 0.05, 0.05
LEVELS = {2: 1.4, 3: 1.75}

#: Of each of the four: a hundred in all.
KILLS = [pytest.param(2, id="quick"), pytest.param(25, id="full", marks=pytest.mark.slow)]


def kill_at_fail_points(
    site: Any, name: str, kills: int, since: Callable[[datetime, str], float], *, every: int = 10
) -> list[float]:
    """Let a service die `kills` times; at each `every`th death, how long the chain took to flow again."""
    times = []
    points = [*POINTS[name]]
    for n in range(kills):
        point = points[n % len(points)] if n < len(points) else site.chance.choice(points)
        passage = site.chance.randint(1, POINTS[name][point])
        if n:
            site.chain.launch(name, KAWAMORI_FAIL_POINT=f"{name}.{point}@{passage}")
        else:  # the first one has run in peace
            site.chain.kill(name)
            site.chain.launch(name, KAWAMORI_FAIL_POINT=f"{name}.{point}@{passage}")
        site.chain.wait_dead(name, 60)
        if n % every == every - 1 or n == kills - 1:
            at = datetime.now(UTC)
            site.chain.launch(name)
            times.append(since(at, f"after death no. {n + 1} of {name}, at {point}"))
            if n < kills - 1:
                site.chain.kill(name)
    return times


def told(name: str, kills: int, times: list[float]) -> str:
    return (
        f"{name} kill -9 x{kills} at {len(POINTS[name])} fail points: caught up after "
        f"{statistics.median(times):.1f} s median, {max(times):.1f} s worst"
    )


@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("name", ["gateway", "ingest"])
def test_a_service_that_dies_at_its_fail_points_loses_and_doubles_nothing(
    name: str, kills: int, site_of: Callable[..., Any]
) -> None:
    site = site_of("gateway", "ingest")
    with site.fleet(site.register(40), rate=300, bad_every=50) as fleet:
        site.flowing(datetime.now(UTC), 20, "at the start")
        times = kill_at_fail_points(site, name, kills, lambda at, what: site.flowing(at, 40, what))
        site.stored_all(fleet, 60)
        stored, refused = site.check(fleet)
    print(f"{told(name, kills, times)}; {stored:,} journalled, {refused} refused, 0 lost, 0 doubled")
    assert max(times) <= 15


def storm(names: list[str]) -> Iterator[tuple[str, datetime, float]]:
    """Every level rises and falls through both thresholds without end, too slowly for a spike."""
    half = round((HIGH - LOW) / STEP)
    for n in count():
        for i, name in enumerate(names):
            place = (n + 3 * i) % (2 * half)
            yield name, datetime.now(UTC), round(LOW + STEP * min(place, 2 * half - place), 3)


def crossings(ledger: Any) -> set[tuple[str, int, datetime, datetime | None]]:
    """What the alert record must say, from what the devices measured."""
    found: set[tuple[str, int, datetime, datetime | None]] = set()
    levels = defaultdict(list)
    for (name, at), value in ledger.sent.items():
        levels[name].append((at, value))
    for name, line in levels.items():
        for level, threshold in LEVELS.items():
            begun = None
            for at, value in sorted(line):
                if begun is None and value >= threshold:
                    begun = at
                elif begun is not None and value < threshold - HYSTERESIS:
                    found.add((f"at-{name}", level, begun, at))
                    begun = None
            if begun is not None:
                found.add((f"at-{name}", level, begun, None))
    return found


def caught_up(chain: Any) -> bool:
    return bool(
        chain.sql(
            "SELECT NOT EXISTS (SELECT 1 FROM ingest_batch b WHERE (b.xid, b.batch_id) > (SELECT xid, batch_id"
            " FROM feed_cursor WHERE follower = 'alerts')) AND EXISTS (SELECT 1 FROM feed_cursor)"
        )[0][0]
    )


@pytest.mark.parametrize("kills", KILLS)
def test_alerts_that_die_miss_no_crossing_and_no_notification(
    kills: int, site_of: Callable[..., Any], wait_until: Callable[..., Any]
) -> None:
    site = site_of("gateway", "ingest", "alerts")
    names = site.register(20, LEVELS)

    def evaluated(at: datetime, what: str) -> float:
        def done() -> bool:
            return bool(site.chain.sql(
                "SELECT EXISTS (SELECT 1 FROM ingest_batch b JOIN feed_cursor c ON c.follower = 'alerts'"
                " AND (b.xid, b.batch_id) <= (c.xid, c.batch_id) WHERE b.committed_at >= %s)", at)[0][0])  # fmt: skip

        wait_until(done, 40, f"alerts evaluate a new batch {what}")
        return (datetime.now(UTC) - at).total_seconds()

    with site.fleet(names, rate=100, says=storm(names)) as fleet:
        site.flowing(datetime.now(UTC), 20, "at the start")
        times = kill_at_fail_points(site, "alerts", kills, evaluated)
        site.stored_all(fleet, 60)
        site.check(fleet)
    wait_until(lambda: caught_up(site.chain), 30, "alerts has followed the feed to its end")
    waiting = "SELECT NOT EXISTS (SELECT 1 FROM notification WHERE delivered_at IS NULL)"
    wait_until(lambda: site.chain.sql(waiting)[0][0], 60, "the outbox is empty")
    rows = site.chain.sql(
        "SELECT alert_id, station_id, flood_level, started_at, ended_at, retroactive FROM alert"
        " WHERE kind = 'level' AND state <> 'withdrawn'"
    )
    expected, recorded = crossings(fleet.ledger), {row[1:5] for row in rows}
    assert (sorted(recorded - expected, key=str), sorted(expected - recorded, key=str)) == ([], [])
    assert not any(row[5] for row in rows), "a live crossing was taken for an old one, and nobody was told"
    lines = [json.loads(line) for line in (site.chain.folder / "notifications.log").read_text().splitlines()]
    sent = {(line["alert_id"], line["event"]) for line in lines}
    due = {(row[0], "raised") for row in rows} | {(row[0], "resolved") for row in rows if row[4]}
    assert not due - sent, f"{len(due - sent)} of {len(due)} notifications are missing, e.g. {sorted(due - sent)[:3]}"
    keys = {(line["id"], line["idempotency_key"]) for line in lines}
    assert len(keys) == len({i for i, _ in keys}) == len({k for _, k in keys}), "a key is not one notification's alone"
    print(
        f"{told('alerts', kills, times)}; {len(expected)} crossings as the oracle has them, {len(due)} notifications "
        f"due, 0 missing, {len(lines) - len(keys)} sent twice under their own key"
    )
    assert max(times) <= 15


@pytest.mark.parametrize("kills", KILLS)
def test_a_screen_that_resumes_hears_every_reading_however_often_the_api_dies(
    kills: int, site_of: Callable[..., Any], listener_on: Callable[..., Any], wait_until: Callable[..., Any]
) -> None:
    site = site_of("gateway", "ingest", "api")
    names = site.register(100)  # so many that none says more in one batch than the stream carries of one sensor
    with listener_on(site.chain.url("api")) as screen:
        wait_until(screen.live.is_set, 20, "the screen is live")

        def heard(at: datetime, what: str) -> float:
            wait_until(lambda: screen.newest and screen.newest >= at, 40, f"the screen hears {what}")
            return (datetime.now(UTC) - at).total_seconds()

        # The screen must have a chance to come back between two deaths.
        with site.fleet(names, rate=200) as fleet:
            heard(datetime.now(UTC), "at the start")
            times = kill_at_fail_points(site, "api", kills, heard, every=1)
            site.stored_all(fleet, 60)
            site.check(fleet)
        said = {(f"at-{name}", at) for name, at in fleet.ledger.sent}
        try:
            wait_until(lambda: said <= screen.heard, 15, "the screen has heard everything")
        finally:
            missing = sorted(said - screen.heard)
            print(
                f"{told('api', kills, times)}; {len(said):,} readings, {len(missing)} never heard, "
                f"{screen.connections} connections, {len(screen.resyncs)} resyncs {missing[:3]}"
            )
    assert not screen.resyncs
    assert max(times) <= 15
