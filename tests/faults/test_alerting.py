"""What happens to the people who must be told when the engine dies, freezes, or loses its database."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kawamori.operate.servers import free_port

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

#: Every step of evaluating, telling and delivering.
POINTS = (
    "read",
    "recorded_alerts",
    "evaluated",
    "committed",
    "looked",
    "told",
    "ticked",
    "claimed",
    "sent",
    "recorded",
)
LEVELS = {4: 2.0}


def mailing(port: int) -> dict[str, str]:
    return {
        "KAWAMORI_ALERTS__SMTP_HOST": "127.0.0.1", "KAWAMORI_ALERTS__SMTP_PORT": str(port),
        "KAWAMORI_ALERTS__MAIL_TO": '["duty@city.example"]',
    }  # fmt: skip


@pytest.fixture
def mailed(site_of: Callable[..., Any], inbox_on: Callable[..., Any]) -> Iterator[tuple[Any, Callable[..., Any]]]:
    """A mailbox, and what makes a site whose alerts arrive there."""
    port = free_port()
    with inbox_on(port) as inbox:
        yield inbox, lambda *names, **extra: site_of(*names, **mailing(port), **extra)


def say(chain: Any, payload: Callable[..., bytes], device: str, value: float) -> datetime:
    at = datetime.now(UTC)
    chain.publish([(device, payload(at.isoformat(), value))])
    return at


@pytest.mark.parametrize(
    ("rounds", "most"), [pytest.param(1, 1, id="quick"), pytest.param(10, 2, id="full", marks=pytest.mark.slow)]
)
def test_an_engine_that_dies_between_any_two_steps_tells_everybody_and_nothing_under_two_keys(
    rounds: int,
    most: int,
    wait_until: Callable[..., Any],
    payload: Callable[..., bytes],
    mailed: tuple[Any, Callable[..., Any]],
) -> None:
    inbox, site_of = mailed
    site = site_of("gateway", "ingest", "alerts")
    chain = site.chain
    names = site.register(len(POINTS) * rounds, LEVELS)
    for name in names:
        say(chain, payload, name, 1.0)
    for n, name in enumerate(names):
        point = POINTS[n % len(POINTS)]
        chain.kill("alerts")
        chain.launch("alerts", KAWAMORI_FAIL_POINT=f"alerts.{point}@{site.chance.randint(1, most)}")
        say(chain, payload, name, 2.5)
        deadline = time.monotonic() + 8
        while chain.processes["alerts"].poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)  # a second passage may never come: then it is killed where it stands
        chain.kill("alerts")
        chain.launch("alerts")
        wait_until(lambda name=name: inbox.about(f"{name}\\b"), 20, f"{name} is told after a death at {point}")
    every = "SELECT station_id, count(*) FROM alert WHERE retracted_at IS NULL GROUP BY 1"
    assert chain.sql(every + " HAVING count(*) <> 1") == []
    assert len(chain.sql(every)) == len(names)
    keys = defaultdict(set)
    for _, key, subject, _ in inbox.mails:
        keys[subject].add(key)
    assert all(len(found) == 1 for found in keys.values()), "one notification has one Message-ID"
    twice = len(inbox.mails) - len({key for _, key, _, _ in inbox.mails})
    print(f"{len(names)} deaths at {len(POINTS)} points: every crossing once in the record, {twice} mails sent twice")


@pytest.mark.slow
def test_the_watchers_hear_within_a_minute_that_the_only_engine_is_dead_and_when_one_is_back(
    wait_until: Callable[..., Any], mailed: tuple[Any, Callable[..., Any]]
) -> None:
    inbox, site_of = mailed
    chain = site_of("alerts", KAWAMORI_ALERTS__WATCHERS='["smtp:watch@city.example"]').chain
    chain.launch("watchdog")
    wait_until(lambda: chain.sql("SELECT count(*) FROM lease WHERE until > now()") == [(1,)], 20, "an engine leads")
    chain.kill("alerts")
    begun = time.time()
    wait_until(lambda: inbox.about("alerts"), 60, "the watchers are told")
    told = inbox.about("alerts")[0][0] - begun
    chain.launch("alerts")
    begun = time.time()
    wait_until(lambda: len(inbox.about("alerts")) == 2, 30, "that it is over is told too")
    back = inbox.about("alerts")[1][0] - begun
    print(f"engine killed, none other: the watchers told after {told:.0f} s; of its return after {back:.0f} s")


def test_a_frozen_leader_is_replaced_within_fifteen_seconds_and_does_no_harm_when_it_wakes(
    wait_until: Callable[..., Any], payload: Callable[..., bytes], mailed: tuple[Any, Callable[..., Any]]
) -> None:
    inbox, site_of = mailed
    site = site_of("gateway", "ingest", "alerts")
    chain = site.chain
    names = site.register(4, LEVELS)
    for name in names:
        say(chain, payload, name, 1.0)
    wait_until(lambda: chain.sql("SELECT count(*) FROM reading") == [(len(names),)], 10, "all are calm")
    ((holder, token),) = chain.sql("SELECT holder, token FROM lease")
    chain.start("alerts-2")
    say(chain, payload, names[0], 2.5)
    wait_until(lambda: inbox.about(f"{names[0]}\\b"), 10, "the leader tells")
    assert chain.sql("SELECT holder, token FROM lease") == [(holder, token)], "the second waits"
    chain.freeze("alerts")
    begun = time.time()
    say(chain, payload, names[1], 2.5)
    wait_until(lambda: inbox.about(f"{names[1]}\\b"), 20, "the second takes over and tells")
    took = inbox.about(f"{names[1]}\\b")[0][0] - begun
    say(chain, payload, names[2], 2.5)
    wait_until(lambda: inbox.about(f"{names[2]}\\b"), 5, "the second goes on")
    ((new_holder, new_token),) = chain.sql("SELECT holder, token FROM lease")
    assert new_holder != holder
    assert new_token > token
    chain.thaw("alerts")
    say(chain, payload, names[3], 2.5)
    wait_until(lambda: inbox.about(f"{names[3]}\\b"), 10, "somebody tells")
    time.sleep(3)  # whatever the woken one would still do, it has done
    assert len(chain.sql("SELECT 1 FROM alert WHERE retracted_at IS NULL")) == len(names)
    for name in names:
        assert len({key for _, key, _, _ in inbox.about(f"{name}\\b")}) == 1, f"{name} under one key"
    print(f"leader frozen: the second told a crossing {took:.1f} s after it")
    assert took <= 15


@pytest.mark.parametrize("away", [pytest.param(25, id="quick"), pytest.param(600, id="full", marks=pytest.mark.slow)])
def test_while_the_database_is_away_people_hear_of_it_and_of_crossings_read_off_the_broker(
    away: int, wait_until: Callable[..., Any], payload: Callable[..., bytes], mailed: tuple[Any, Callable[..., Any]]
) -> None:
    inbox, site_of = mailed
    site = site_of("gateway", "ingest", "alerts")
    chain = site.chain
    names = site.register(3, {3: 1.5, 4: 2.0})
    for name in names:
        say(chain, payload, name, 1.0)
    say(chain, payload, names[0], 1.6)
    wait_until(lambda: inbox.about(f"{names[0]}\\b"), 10, "level 3 is told as usual")
    time.sleep(3)  # so that the engine remembers what is known
    site.database.stop()
    begun = time.time()
    wait_until(lambda: inbox.about("データベースに接続できず"), 30, "that alerting is impaired is told")
    impaired = time.time() - begun
    assert not chain.ready("alerts"), "and /readyz says so"
    at = time.time()
    say(chain, payload, names[1], 2.6)
    wait_until(lambda: inbox.about(f"L4.*{names[1]}\\b"), 5, "a crossing is told straight from the sensor")
    blind = time.time() - at
    (mail,) = inbox.about(f"{names[1]}\\b")
    assert "未確認" in mail[2]
    assert "データベース停止中" in mail[3]
    say(chain, payload, names[0], 1.7)
    say(chain, payload, names[2], 1.2)
    memory = chain.memory_mb()["alerts"]
    while time.time() - begun < away:
        say(chain, payload, names[2], 1.2)
        time.sleep(1)
    assert len(inbox.about("データベース停止中")) == 1, "what is known already, or calm, is not told"
    assert chain.memory_mb()["alerts"] <= memory + 20
    site.database.start()
    wait_until(lambda: inbox.about("データベースに接続できました|順に記録"), 30, "the recovery is told")
    found = "SELECT state, verified FROM alert WHERE station_id = %s AND flood_level = 4"
    wait_until(lambda: chain.sql(found, f"at-{names[1]}"), 60, "the crossing is in the record")
    wait_until(lambda: len(inbox.about(f"{names[1]}\\b")) >= 2, 20, "and told as usual")
    noted = chain.sql("SELECT event FROM audit WHERE subject = 'alerting' ORDER BY audit_id")
    assert noted == [("impaired",), ("recovered",)]
    wait_until(lambda: chain.ready("alerts"), 10, "/readyz is well again")
    print(f"no database for {away} s: impaired told after {impaired:.1f} s, a crossing read off the broker after"
          f" {blind:.2f} s")  # fmt: skip


EVERY = {"KAWAMORI_ALERTS__SELF_TEST_EVERY": "PT15S"}
PASSED = "SELECT detail->>'seconds' FROM audit WHERE event = 'self_test_passed'"


def test_the_self_test_goes_through_the_whole_chain_and_bothers_nobody(
    wait_until: Callable[..., Any], mailed: tuple[Any, Callable[..., Any]]
) -> None:
    inbox, site_of = mailed
    chain = site_of("gateway", "ingest", "alerts", **EVERY).chain
    wait_until(lambda: chain.sql(PASSED), 30, "the self-test comes out")
    print(f"self-test: {chain.sql(PASSED)[0][0]} s from the broker to delivery")
    assert not inbox.mails
    assert chain.sql("SELECT DISTINCT status FROM alert") == [("test",)]


@pytest.mark.slow
def test_a_self_test_that_does_not_come_out_is_shouted_by_another_way(
    wait_until: Callable[..., Any], mailed: tuple[Any, Callable[..., Any]]
) -> None:
    inbox, site_of = mailed
    chain = site_of("gateway", "ingest", "alerts", **EVERY).chain
    wait_until(lambda: chain.sql(PASSED), 30, "the self-test comes out")
    chain.freeze("ingest")
    wait_until(lambda: inbox.about("自己点検"), 100, "that it did not is told")
    chain.thaw("ingest")
    assert chain.sql("SELECT count(*) > 0 FROM audit WHERE event = 'self_test_failed'") == [(True,)]


def test_a_crossing_that_was_missed_while_the_engine_was_down_is_told_when_it_is_back(
    wait_until: Callable[..., Any], payload: Callable[..., bytes], mailed: tuple[Any, Callable[..., Any]]
) -> None:
    inbox, site_of = mailed
    site = site_of("gateway", "ingest")
    chain = site.chain
    names = site.register(2, LEVELS)
    now = datetime.now(UTC)
    chain.publish(
        [(names[0], payload((now - timedelta(minutes=m)).isoformat(), v)) for m, v in ((9, 1.0), (6, 2.5), (3, 2.6))]
        + [(names[1], payload((now - timedelta(hours=h)).isoformat(), v)) for h, v in ((5, 1.0), (4, 2.5), (3, 1.0))]
    )
    wait_until(lambda: chain.sql("SELECT count(*) FROM reading") == [(6,)], 10, "all is stored")
    chain.start("alerts")
    wait_until(lambda: inbox.about(f"{names[0]}\\b"), 10, "what still lasts is told")
    wait_until(lambda: len(chain.sql("SELECT 1 FROM alert")) == 2, 10, "the old one is in the record")
    assert not inbox.about(f"{names[1]}\\b"), "what is long over is not"
