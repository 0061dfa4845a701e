"""A device's number is judged in one place, before its scale and shift."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kawamori.domain.flood import Threshold
from kawamori.domain.quantity import Unit
from kawamori.domain.reading import DeviceId, Reading, Reason, SensorId, StationId
from kawamori.domain.registry import Deployment, Limits, Registry, Sensor
from kawamori.domain.validator import Validator
from kawamori.errors import Refused

NOW = datetime(2026, 7, 14, 2, 10, tzinfo=UTC)
M = Unit(symbol="m", dimension="length", scale=1.0)
UNITS = {
    "m": M,
    "cm": Unit(symbol="cm", dimension="length", scale=0.01),
    "mm": Unit(symbol="mm", dimension="length", scale=0.001),
    "ft": Unit(symbol="ft", dimension="length", scale=0.3048),
    "kPa": Unit(symbol="kPa", dimension="pressure", scale=1000.0),
    "K": Unit(symbol="K", dimension="temperature", scale=1.0, shift=-273.15),
    "°C": Unit(symbol="°C", dimension="temperature", scale=1.0),
    "mm of rain": Unit(symbol="mm of rain", dimension="rain", scale=1.0),
}  # fmt: skip
STORED = {"water_level": "m", "distance": "m", "rainfall": "mm of rain", "temperature": "°C"}


FREE = Limits()


def threshold(level: int, height: float) -> Threshold:
    return Threshold(station=StationId("s"), level=level, value_m=height, valid_from=datetime(2020, 1, 1, tzinfo=UTC))


def validator(
    limits: Limits = FREE, heights: tuple[float, ...] = (2.5, 5.6), quantity: str = "water_level",
    reports: str | None = None, **deployed: object,
) -> Validator:  # fmt: skip
    sensor = Sensor(
        id=SensorId(1), station=StationId("s"), quantity=quantity, unit=UNITS[STORED[quantity]], time_zone="Asia/Tokyo",
        report_every=timedelta(minutes=10), limits=limits, is_amount=quantity == "rainfall",
    )  # fmt: skip
    reported = reports or quantity
    deployment = Deployment(
        device=DeviceId("d"), quantity=reported, unit=UNITS[STORED[reported]], sensor=sensor,
        valid_from=datetime(2020, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    deployment = replace(deployment, **deployed)  # type: ignore[arg-type]
    registry = Registry(
        version=1, units=UNITS, quantities={q: UNITS[u] for q, u in STORED.items()}, sensors={sensor.id: sensor},
        devices=frozenset({DeviceId("d")}), deployments={("d", reported): (deployment,)},
        thresholds={StationId("s"): tuple(threshold(n, h) for n, h in enumerate(heights, 1))},
    )  # fmt: skip
    return Validator(registry, timedelta(days=3653), timedelta(minutes=5))


def take(one: Validator, value: float, unit: str = "m", quantity: str = "water_level", **more: object) -> Reading:
    return one.accept("d", NOW, NOW, quantity, value, unit, **more)  # type: ignore[arg-type]


def refused(one: Validator, value: float, unit: str = "m", quantity: str = "water_level") -> str:
    with pytest.raises(Refused) as error:
        take(one, value, unit, quantity)
    return str(error.value)


def sonar(**deployed: object) -> Validator:
    """A device 7.25 m above the gauge's zero that reports the distance to the water."""
    return validator(reports="distance", scale=-1.0, shift=7.25, **deployed)


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (-888, "cm"), (-777, "cm"), (-999, "cm"), (-9999, "mm"), (-9999.99, "m"), (-99.99, "m"), (-999998, "m"),
        (-777, "m"), (-999.9, "m"), (-99999, "mm"), (65535, "mm"), (655.35, "m"), (6553.5, "cm"), (32767, "mm"),
        (3276.7, "cm"), (-32768, "mm"), (9999, "cm"), (99.99, "m"), (-999.99, "ft"),
        (-99.98999786376953, "m"), (-9999.990234375, "m"),
    ],
)  # fmt: skip
def test_numbers_that_loggers_write_for_nothing_are_no_levels(value: float, unit: str) -> None:
    assert refused(validator(), value, unit).startswith("value: a sentinel")
    assert refused(validator(heights=()), value, unit).startswith("value: a sentinel")


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (-888, "mm"), (-999, "mm"), (-777, "mm"), (-99, "cm"), (-99.9, "cm"), (9999, "mm"), (999.9, "cm"),
        (6.5535, "m"), (0, "m"),
    ],
)  # fmt: skip
def test_the_same_digits_are_a_level_where_the_water_can_stand_there(value: float, unit: str) -> None:
    assert take(validator(), value, unit).value == pytest.approx(value * UNITS[unit].scale)


def test_a_registered_range_makes_a_number_of_the_usual_list_honest() -> None:
    assert take(validator(Limits(range_min=-20.0)), -888, "cm").value == -8.88


def test_a_gauge_of_heights_above_the_sea_has_other_honest_numbers() -> None:
    high = validator(heights=(652.0, 658.0))
    assert take(high, 655.35).value == 655.35
    assert refused(high, 65.535).startswith("value: a sentinel")


def test_a_registered_list_stands_alone_and_is_compared_as_the_device_sends_it() -> None:
    one = validator(nothing=frozenset({-999.0, -1.1}))
    assert refused(one, -999, "mm").startswith("value: a sentinel")
    assert refused(one, -1.1, "m").startswith("value: a sentinel")
    assert take(one, -888, "cm").value == -8.88


def test_an_empty_registered_list_means_that_every_number_is_honest() -> None:
    assert take(validator(nothing=frozenset()), -9999, "cm").value == -99.99


def test_no_echo_of_a_radar_is_no_water_at_the_bridge() -> None:
    assert refused(sonar(), 0, "mm", "distance").startswith("value: outside what the device can measure")
    assert refused(sonar(), -5, "mm", "distance").startswith("value: outside")
    for value, unit in ((9999, "mm"), (999.9, "cm"), (9.999, "m"), (-999, "cm"), (65535, "mm")):
        assert refused(sonar(), value, unit, "distance").startswith("value: a sentinel")
    assert take(sonar(), 5300, "mm", "distance").value == 1.95
    assert take(sonar(), 500, "mm", "distance").value == 6.75  # water may come so near; neighbours tell


def test_what_a_device_can_measure_is_registered_as_it_reports_and_holds_in_every_unit() -> None:
    one = sonar(span_min=501.0, span_max=9998.0, span_unit=UNITS["mm"])
    for value, unit in ((0, "mm"), (500, "mm"), (9999, "mm"), (50.0, "cm"), (9.999, "m")):
        with pytest.raises(Refused):
            take(one, value, unit, "distance")
    assert take(one, 501, "mm", "distance").value == 6.749
    assert take(one, 50.1, "cm", "distance").value == 6.749
    assert take(one, 9998, "mm", "distance").value == -2.748


def test_at_the_end_of_its_range_where_water_may_stand_higher_a_value_is_estimated() -> None:
    radar = sonar(span_min=501.0, span_max=9998.0, span_unit=UNITS["mm"])
    assert take(radar, 501, "mm", "distance").reasons == Reason.ESTIMATED
    assert take(radar, 9998, "mm", "distance").reasons == 0  # dry
    probe = validator(span_min=0.0, span_max=10.0)
    assert take(probe, 1000, "cm").reasons == Reason.ESTIMATED
    assert take(probe, 0.0).reasons == 0


def test_rain_of_minus_one_and_a_temperature_of_no_kelvin_are_nothing() -> None:
    rain = validator(Limits(range_min=0.0, range_max=2000.0), quantity="rainfall")
    assert refused(rain, -1, "mm of rain", "rainfall").startswith("value: a sentinel")
    warm = validator(Limits(range_min=-80.0, range_max=100.0), quantity="temperature")
    assert refused(warm, 0, "K", "temperature").startswith("value: a sentinel")
    assert refused(warm, -127, "°C", "temperature").startswith("value: a sentinel")
    assert take(warm, 0, "°C", "temperature").value == 0


def test_not_a_number_is_refused() -> None:
    assert refused(validator(), float("nan")).startswith("value:")


def test_another_dimension_is_refused() -> None:
    assert refused(validator(), 2.0, "kPa") == "unit: measures something else than the quantity"


def test_a_gateway_whose_clock_is_behind_refuses_nothing() -> None:
    slow = NOW - timedelta(hours=3)
    found = validator().accept("d", slow, NOW, "water_level", 2.0, "m", NOW + timedelta(seconds=2))
    assert found.observed_at == NOW
    assert found.received_at == NOW + timedelta(seconds=2)
    with pytest.raises(Refused, match="ahead of its arrival"):
        validator().accept("d", slow, NOW, "water_level", 2.0, "m")


def test_a_gateway_whose_clock_is_a_year_ahead_brings_nothing_from_the_future() -> None:
    fast = NOW + timedelta(days=365)
    with pytest.raises(Refused, match="ahead of its arrival"):
        validator().accept("d", fast, fast, "water_level", 2.0, "m", NOW)
    assert validator().accept("d", fast, NOW, "water_level", 2.0, "m", NOW).received_at == NOW


def test_a_gateway_that_has_lost_its_clock_makes_no_ancient_reading_acceptable() -> None:
    lost, ancient = datetime(2000, 1, 1, tzinfo=UTC), datetime(1995, 1, 1, tzinfo=UTC)
    with pytest.raises(Refused, match="older than the oldest accepted"):
        validator(valid_from=ancient).accept("d", lost, ancient, "water_level", 2.0, "m", NOW)


@pytest.mark.parametrize("year", [1, 1970, 9999])
def test_an_impossible_clock_of_a_gateway_ends_nothing(year: int) -> None:
    absurd = datetime(year, 12, 31, 23, 59, tzinfo=UTC)
    assert validator().accept("d", absurd, NOW, "water_level", 2.0, "m", NOW).received_at == NOW
    with pytest.raises(Refused, match="clock of its gateway"):
        validator().accept("d", absurd, NOW, "water_level", 2.0, "m")
