# ruff: noqa: E501 - tables read best unbroken
"""While the database is away: what a device's number stands for, how many messages, and which engine tells."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest

from alerts.fallback import ONE_BY_ONE, TELLING, FallbackAlerting, Pace, Turn, blind_reading
from alerts.messages import AlertEvent
from kawamori import wire
from kawamori.domain.flood import Threshold
from kawamori.domain.quantity import Unit
from kawamori.domain.reading import DeviceId, RiverId, SensorId, StationId
from kawamori.domain.registry import Deployment, Limits, Registry, Sensor, Station
from kawamori.domain.validator import Validator
from kawamori.mqtt import Message
from kawamori.settings import Settings

NOW = datetime(2026, 9, 1, tzinfo=UTC)
SINCE = datetime(2020, 1, 1, tzinfo=UTC)
M = Unit(symbol="m", dimension="length", scale=1.0)
CM = Unit(symbol="cm", dimension="length", scale=0.01)


class Steady:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def registry(count: int = 1, **more: Any) -> Registry:
    """Stations s0, s1 … each with a radar d0, d1 … 7 m above the gauge's zero, a pressure gauge p0 … and a thermometer."""
    stations, sensors, deployments, thresholds = {}, {}, {}, {}
    for n in range(count):
        station = StationId(f"s{n}")
        sensor = Sensor(
            id=SensorId(n), station=station, quantity="water_level", unit=M, time_zone="Asia/Tokyo",
            report_every=timedelta(minutes=10), limits=Limits(range_min=-1, range_max=8),
        )  # fmt: skip
        stations[station] = Station(
            id=station, name_ja=f"{n}橋", name_en=f"{n}", river=RiverId("r"), river_name_ja="川", river_name_en="R"
        )
        sensors[sensor.id] = sensor
        radar = Deployment(
            device=DeviceId(f"d{n}"), quantity="distance", unit=M, sensor=sensor, valid_from=SINCE, scale=-1, shift=7
        )
        plain = Deployment(device=DeviceId(f"p{n}"), quantity="water_level", unit=M, sensor=sensor, valid_from=SINCE)
        deployments[f"d{n}", "distance"] = (radar,)
        deployments[f"p{n}", "water_level"] = (plain,)
        thresholds[station] = tuple(
            Threshold(station=station, level=level, value_m=float(level), valid_from=SINCE) for level in range(1, 6)
        )
    return Registry(**({
        "version": 1, "units": {"m": M, "cm": CM}, "quantities": {"water_level": M, "distance": M},
        "stations": stations, "sensors": sensors, "thresholds": thresholds, "deployments": deployments,
        "devices": frozenset(DeviceId(device) for device, _ in deployments),
    } | more))  # fmt: skip


def validator(found: Registry) -> Validator:
    return Validator(found, timedelta(days=3653), timedelta(minutes=5))


def reading(device: str, value: Any, *, unit: str = "cm", quantity: str = "distance", ago: float = 0) -> Any:
    raw = {"time": (NOW - timedelta(seconds=ago)).isoformat(), "quantity": quantity, "value": value, "unit": unit}
    return wire.decode_reading(json.dumps(raw).encode())


@pytest.mark.parametrize(
    ("value", "metres"), [(300, 4.0), (-999, None), (9999, None), (0, None), (-888, None), (65535, None)]
)
def test_a_radars_number_for_nothing_is_no_level(value: float, metres: float | None) -> None:
    """A radar's -999 cm would be 17 m."""
    found = blind_reading(validator(registry()), "d0", reading("d0", value), NOW)
    assert (None if found is None else found[1]) == metres


@pytest.mark.parametrize(
    ("device", "more"),
    [
        ("p0", {"value": 9.5}), ("p0", {"value": 3.0, "quantity": "nonsense"}), ("p0", {"value": 3.0, "unit": "cm", "ago": -400}),
        ("nobody", {"value": 3.0}), ("p0", {"value": 3.0, "unit": "furlong"}),
    ],
)  # fmt: skip
def test_what_ingest_would_refuse_or_fail_is_told_to_nobody(device: str, more: dict[str, Any]) -> None:
    one = reading(device, **({"unit": "m", "quantity": "water_level"} | more))
    assert blind_reading(validator(registry()), device, one, NOW) is None


def fallback(steady: Steady, found: Registry) -> FallbackAlerting:
    class Leads:
        leads = True
        names: Mapping[int, tuple[str, str]] = MappingProxyType({})

    one = FallbackAlerting(Settings(), [], None, Leads(), lambda: NOW, steady=steady)  # type: ignore[arg-type]
    one._validator = validator(found)
    return one


def message(topic: str, payload: bytes) -> Message:
    return Message(topic, payload, NOW, 1, 1, 1)


def said(device: str, value: float) -> Message:
    raw = {"time": NOW.isoformat(), "quantity": "water_level", "value": value, "unit": "m"}
    return message(wire.device_topic(device, "reading"), json.dumps(raw).encode())


def test_a_level_is_told_once_and_a_higher_one_again() -> None:
    one, turn = fallback(Steady(), registry()), Turn("b", Steady(), led=True)
    told = [one.hear(said("p0", value), turn) for value in (0.5, 2.5, 2.6, 4.1, 1.0)]
    assert [[t.alert.level for t in found] for found in told] == [[], [2], [], [4], []]


@pytest.mark.parametrize(
    "payload", [b"", b"\xff\xfe", b"[]", b"{}", b'{"readings":[1,2]}', b"9" * 400, b'{"value":' + b"9" * 400 + b"}"]
)
def test_garbage_on_the_broker_costs_itself_alone(payload: bytes) -> None:
    one, turn = fallback(Steady(), registry()), Turn("b", Steady(), led=True)
    assert one.hear(message(wire.device_topic("p0", "reading"), payload), turn) == []
    assert one.hear(message(TELLING, payload), turn) == []
    assert len(one.hear(said("p0", 2.5), turn)) == 1


def test_a_thousand_crossings_are_ten_messages_and_one_more_a_minute() -> None:
    steady = Steady()
    one, turn, pace = fallback(steady, registry(1000)), Turn("b", steady, led=True), Pace(steady)
    alone: list[AlertEvent] = []
    for n in range(1000):
        steady.now += 0.01
        alone += [told for told in one.hear(said(f"p{n}", 5.5), turn) if pace.take(told)]
        assert pace.rest() == []
    assert len(alone) == ONE_BY_ONE
    steady.now += 60
    assert len(pace.rest()) == 1000 - ONE_BY_ONE, "the rest in one message"
    assert pace.rest() == []
    assert pace.take(alone[0]), "and then one by one again"


def test_of_two_engines_the_one_that_led_tells_and_the_other_when_it_is_heard_no_more() -> None:
    steady = Steady()
    leader, standby = Turn("b", steady, led=True), Turn("a", steady, led=False)
    for _ in range(10):
        steady.now += 2
        assert leader.tells()
        standby.hear("b")
        assert not standby.tells()
    steady.now += 11
    assert standby.tells(), "the leader is gone"
    leader.hear("a")
    assert not leader.tells(), "it comes back: of two that tell the lower name goes on"
    standby.hear("b")
    assert standby.tells()
