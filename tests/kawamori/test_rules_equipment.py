"""Rules that look at what is known of a sensor or a gateway now, and at the clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kawamori.domain.lag import Lag
from kawamori.domain.quantity import Unit
from kawamori.domain.reading import Flag, RiverId, SensorId, StationId
from kawamori.domain.registry import Limits, Sensor, Station
from kawamori.domain.rules import KINDS, Facts, Finding, GatewayFacts, SensorRule
from kawamori.domain.rules.battery import BatteryRule
from kawamori.domain.rules.clock import ClockRule
from kawamori.domain.rules.gateway import GatewayRule
from kawamori.domain.rules.limits import LimitsRule
from kawamori.domain.rules.manual import ManualRule
from kawamori.domain.rules.silent import SilentRule
from kawamori.domain.rules.spike import SpikeRule
from kawamori.domain.rules.stuck import StuckRule
from kawamori.domain.rules.unfit import UnfitRule, contradictions

NOW = datetime(2026, 7, 14, 12, tzinfo=UTC)
METRE = Unit(symbol="m", dimension="length", scale=1.0)
UP, DOWN = StationId("up"), StationId("down")


def sensor(**more: Any) -> Sensor:
    plan: dict[str, Any] = {
        "id": SensorId(1), "station": StationId("s"), "quantity": "water_level", "unit": METRE,
        "time_zone": "Asia/Tokyo", "report_every": timedelta(minutes=10),
    }  # fmt: skip
    return Sensor(**(plan | more))


def facts(age_min: float | None = 5, value: float | None = 0.3, **more: Any) -> Facts:
    at = None if age_min is None else NOW - timedelta(minutes=age_min)
    station = Station(
        id=StationId("s"), name_ja="橋", name_en="Bridge", river=RiverId("r"), river_name_ja="川",
        river_name_en="River", observation_start_m=1.0,
    )  # fmt: skip
    plan: dict[str, Any] = {
        "sensor": sensor(), "station": station, "observed_at": at, "received_at": at, "value": value, "flag": None,
        "trend_h": 0.0,
    }  # fmt: skip
    return Facts(**(plan | more))


CRISIS = sensor(report_every_low=timedelta(days=1))


def judge(rule: SensorRule, known: Facts, *, firing: bool = False) -> Finding | None:
    return rule.judge(known, NOW, firing=firing)


def test_a_sensor_is_silent_after_three_intervals_and_a_minute() -> None:
    assert judge(SilentRule(), facts(31)) is None
    found = judge(SilentRule(), facts(31.1))
    assert found is not None
    assert found.since == NOW - timedelta(minutes=31.1)
    assert found.detail["reason"] == "silent"


def test_a_sensor_that_never_reported_is_no_alert() -> None:
    assert judge(SilentRule(), facts(None, None)) is None


def test_a_crisis_gauge_may_sleep_for_three_days_at_low_water_and_half_an_hour_above() -> None:
    assert judge(SilentRule(), facts(3 * 1440, 0.3, sensor=CRISIS)) is None
    assert judge(SilentRule(), facts(3 * 1440 + 2, 0.3, sensor=CRISIS)) is not None
    assert judge(SilentRule(), facts(32, 1.2, sensor=CRISIS)) is not None


def test_a_crisis_gauge_whose_last_reading_failed_is_not_taken_to_sleep() -> None:
    assert judge(SilentRule(), facts(32, -9.0, flag=Flag.FAIL, sensor=CRISIS)) is not None
    assert judge(SilentRule(), facts(32, 0.3, flag=Flag.SUSPECT, sensor=CRISIS)) is None


def test_a_gauge_that_sleeps_while_its_neighbours_rise_is_found() -> None:
    sleeping = facts(40, 0.3, sensor=CRISIS)
    assert judge(SilentRule(), sleeping) is None
    assert judge(SilentRule(), replace(sleeping, neighbours={UP: 0.09, DOWN: -2.0})) is None
    found = judge(SilentRule(), replace(sleeping, neighbours={UP: 0.4, DOWN: 0.0}))
    assert found is not None
    assert found.detail == {"reason": "low_mode", "expected_every_s": 600.0, "neighbours_m_per_h": {"up": 0.4}}
    assert SilentRule.says(found.value, found.detail, "ja") == "隣接上昇中・低水モードのまま"
    # it stays until the gauge itself reports, though the neighbours have stopped
    assert judge(SilentRule(), sleeping, firing=True) is not None
    assert judge(SilentRule(), facts(5, 0.3, sensor=CRISIS), firing=True) is None
    # an ordinary sensor has no such mode
    assert judge(SilentRule(), facts(20, 0.3, neighbours={UP: 2.0})) is None


def test_a_value_is_stuck_when_it_stands_while_the_water_is_high_or_all_neighbours_rise() -> None:
    limits = Limits(flat_after=timedelta(hours=2), flat_above=1.0)
    for hours, value, neighbours, stuck in (
        (3, 1.5, {}, True), (1, 1.5, {}, False), (3, 0.5, {}, False), (3, 0.5, {UP: 0.3, DOWN: 0.2}, True),
        (3, 0.5, {UP: 0.0, DOWN: 0.9}, False), (1, 0.5, {UP: 0.3}, False),
    ):  # fmt: skip
        known = facts(
            5, value, sensor=sensor(limits=limits), flat_since=NOW - timedelta(hours=hours, minutes=5),
            neighbours=neighbours,
        )  # fmt: skip
        found = judge(StuckRule(), known)
        assert (found is not None) is stuck, (hours, value, neighbours)
        if found is not None:
            assert found.since == known.flat_since
            calm = replace(known, neighbours={}, value=0.5)
            assert judge(StuckRule(), calm, firing=True) is not None  # until it changes
            assert judge(StuckRule(), replace(calm, flat_since=NOW - timedelta(minutes=5)), firing=True) is None


def test_low_flow_without_limits_is_never_stuck_by_itself_and_rain_never() -> None:
    flat = {"flat_since": NOW - timedelta(days=20)}
    assert judge(StuckRule(), facts(5, 9.0, **flat)) is None
    rain = sensor(quantity="rainfall", limits=Limits(flat_after=timedelta(hours=2), flat_above=-1.0))
    assert judge(StuckRule(), facts(5, 0.0, sensor=rain, neighbours={UP: 3.0}, **flat)) is None
    # a silent sensor is silent, not stuck: its value has stood until its last reading only
    assert judge(StuckRule(), facts(60 * 24, 0.5, flat_since=NOW - timedelta(hours=25), neighbours={UP: 1.0})) is None


def test_five_spikes_a_day_are_a_loose_sensor_until_three_are_left() -> None:
    assert judge(SpikeRule(), facts(spikes=4)) is None
    found = judge(SpikeRule(), facts(spikes=5))
    assert found is not None
    assert SpikeRule.says(found.value, found.detail, "ja") == "24時間に5回"
    assert judge(SpikeRule(), facts(spikes=3), firing=True) is not None
    assert judge(SpikeRule(), facts(spikes=2), firing=True) is None


def test_a_battery_is_low_until_it_is_a_tenth_of_a_volt_better() -> None:
    assert judge(BatteryRule(), facts(battery_v=None)) is None
    assert judge(BatteryRule(), facts(battery_v=3.3)) is None
    assert judge(BatteryRule(), facts(battery_v=3.29)) is not None
    assert judge(BatteryRule(), facts(battery_v=3.39), firing=True) is not None
    assert judge(BatteryRule(), facts(battery_v=3.4), firing=True) is None
    assert BatteryRule.says(3.214, {}, "ja") == "3.21V"


def test_a_clock_is_off_when_readings_come_from_the_future_or_were_refused_for_it() -> None:
    def ahead(seconds: float) -> Facts:
        return facts(0, observed_at=NOW + timedelta(seconds=seconds), received_at=NOW)

    assert judge(ClockRule(), ahead(60)) is None
    found = judge(ClockRule(), ahead(95))
    assert found is not None
    assert (found.since, ClockRule.says(None, found.detail, "ja")) == (NOW, "+95秒")
    assert judge(ClockRule(), ahead(31), firing=True) is not None
    assert judge(ClockRule(), ahead(30), firing=True) is None
    assert judge(ClockRule(), facts(refused_at=NOW - timedelta(minutes=59))) is not None
    assert judge(ClockRule(), facts(refused_at=NOW - timedelta(minutes=61))) is None


def test_a_gateway_is_silent_after_a_minute() -> None:
    def heard(seconds: float) -> GatewayFacts:
        return GatewayFacts(gateway_id="g", seen_at=NOW - timedelta(seconds=seconds), backlog=1200)

    assert GatewayRule().judge(heard(60), NOW, firing=False) is None
    found = GatewayRule().judge(heard(61), NOW, firing=False)
    assert found is not None
    assert (found.since, GatewayRule.says(found.value, found.detail, "ja")) == (
        NOW - timedelta(seconds=61),
        "未送信1200件",
    )


@given(
    st.sampled_from(sorted(k for k, r in KINDS.items() if issubclass(r, SensorRule))),
    st.floats(0, 5000), st.none() | st.floats(-1, 3), st.floats(2.5, 4.0), st.integers(0, 10), st.floats(0, 60),
    st.dictionaries(st.sampled_from([UP, DOWN]), st.floats(-1, 1)), st.booleans(),
)  # fmt: skip
def test_what_raises_goes_on_firing_while_nothing_changes(
    kind: str, age: float, value: float | None, volts: float, spikes: int, flat_h: float,
    neighbours: dict[StationId, float], low: bool,
) -> None:  # fmt: skip
    """No kind flaps: the edge at which it is over lies beyond the edge at which it is raised."""
    rule = KINDS[kind]()
    assert isinstance(rule, SensorRule)
    known = facts(
        age, value, battery_v=volts, spikes=spikes, neighbours=neighbours, sensor=CRISIS if low else sensor(),
        flat_since=NOW - timedelta(minutes=age, hours=flat_h), refused_at=NOW - timedelta(minutes=age),
    )  # fmt: skip
    found = judge(rule, known)
    if found is not None:
        assert judge(rule, known, firing=True) is not None
        assert found.since <= NOW


def test_no_message_says_what_only_the_meteorological_agency_may() -> None:
    details: list[dict[str, Any]] = [
        {}, {"reason": "low_mode"}, {"rise_m": 0.5, "minutes": 30.0}, {"hours": 24}, {"ahead_s": 90.0},
        {"refused": True}, {"backlog": 3}, {"text": "堤防に亀裂"},
        {name: NOW.isoformat() for name in ("earliest", "likely", "latest")},
    ]  # fmt: skip
    for rule in KINDS.values():
        assert rule.name_ja
        assert rule.name_en
        for detail in details:
            for language in ("ja", "en"):
                said = rule.says(1.0, detail, language)
                assert "警報" not in said + rule.name_ja
                assert len(said) <= 45
    assert ManualRule.says(None, {"text": "堤防に亀裂"}, "ja") == "堤防に亀裂"


def late(behind: timedelta, lag: Lag | None = None, since: float = 1, **more: Any) -> Facts:
    """A sensor whose newest reading came so late, `since` minutes ago."""
    came = NOW - timedelta(minutes=since)
    return facts(0, observed_at=came - behind, received_at=came, lag=lag, **more)


def test_replaying_the_past_makes_no_station_silent() -> None:
    for behind in (timedelta(hours=2), timedelta(days=400)):
        assert judge(SilentRule(), late(behind, since=60)) is None
    live = Lag(timedelta(hours=2), "late", live=True)
    assert judge(SilentRule(), late(timedelta(hours=2), live, since=30)) is None
    assert judge(SilentRule(), late(timedelta(hours=2), live, since=32)) is not None
    assert judge(SilentRule(), late(timedelta(hours=2), since=60), firing=True) is not None, (
        "it was live, and is silent"
    )


def test_a_usual_delay_is_no_silence() -> None:
    slow = sensor(usual_delay=timedelta(minutes=40))
    assert judge(SilentRule(), facts(70, sensor=slow)) is None
    assert judge(SilentRule(), facts(72, sensor=slow)) is not None


def test_a_clock_that_is_behind_is_named_and_is_no_dead_sensor() -> None:
    nine = timedelta(hours=9, seconds=2)
    lag = Lag(nine, "zone", live=False)
    found = judge(ClockRule(), late(nine, lag))
    assert found is not None
    assert ClockRule.says(None, found.detail, "en") == "its times are 9 h 00 min behind: time zone?"
    assert judge(SilentRule(), late(nine, lag)) is None
    always = Lag(timedelta(minutes=40), "constant", live=True)
    assert judge(ClockRule(), late(timedelta(minutes=40), always)) is not None
    assert judge(ClockRule(), late(timedelta(minutes=40), Lag(timedelta(minutes=40), "late", live=True))) is None


def test_a_gateways_clock_is_named_instead_of_all_its_sensors() -> None:
    off = GatewayFacts(gateway_id="g", seen_at=NOW, backlog=0, clock_off_s=-3600.0)
    found = ClockRule().judge_gateway(off, NOW, firing=False)
    assert found is not None
    assert ClockRule.says(found.value, found.detail, "ja") == "-3600秒"
    assert ClockRule().judge_gateway(replace(off, clock_off_s=40.0), NOW, firing=False) is None
    assert ClockRule().judge_gateway(replace(off, clock_off_s=40.0), NOW, firing=True) is not None
    known = facts(0, observed_at=NOW, received_at=NOW - timedelta(hours=1))
    assert judge(ClockRule(), known) is not None
    assert judge(ClockRule(), replace(known, gateway_off_s=-3600.0)) is None


def test_a_sensor_torn_off_in_the_flood_is_unfit_until_it_has_been_quiet() -> None:
    def jumps(*values: float, step: float = 10) -> tuple[datetime, ...]:
        times = [NOW - timedelta(minutes=step * (len(values) - i)) for i in range(len(values))]
        return contradictions(list(zip(times, values, strict=True)))

    torn = facts(jumps=jumps(0.0, 9.6, 3.1, 8.2, 0.0))
    found = judge(UnfitRule(), torn)
    assert found is not None
    assert (found.since, found.detail["jumps"]) == (NOW - timedelta(minutes=40), 4)
    assert judge(UnfitRule(), facts(jumps=jumps(0.0, 9.6, 9.6, 3.1, 3.2))) is None
    flash = jumps(1.0, 2.6, 4.2, 5.9, 7.2, 7.3, 7.0, step=5)
    assert len(flash) == 1, "a flash rise only rises"
    quiet = facts(jumps=tuple(at - timedelta(hours=3) for at in torn.jumps))
    assert judge(UnfitRule(), quiet, firing=True) is None
    assert judge(UnfitRule(), replace(torn, jumps=torn.jumps[-1:]), firing=True) is not None


def test_values_beyond_the_limits_that_agree_are_a_wrong_limit_since_the_first_of_them() -> None:
    since = NOW - timedelta(minutes=20)
    assert judge(LimitsRule(), facts(5, 235.5)) is None
    found = judge(LimitsRule(), facts(5, 235.5, beyond_since=since))
    assert found is not None
    assert (found.since, found.value) == (since, 235.5)
    assert LimitsRule.says(235.5, {}, "en") == "235.50 m"
