"""The last word that people have of an alert is its state, whatever comes and in whatever order. Pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.paging import Before, Event, due, state_of
from alerts.reconcile import late_news, reconcile
from kawamori.domain.flood import Threshold
from kawamori.domain.lag import Lag
from kawamori.domain.quantity import Unit
from kawamori.domain.reading import Flag, Reading, Reason, SensorId, StationId
from kawamori.domain.registry import Sensor
from kawamori.domain.rules import Episode
from kawamori.domain.rules.level import episodes
from kawamori.storage.alerts import Alert

START = datetime(2026, 7, 14, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WITHIN = timedelta(minutes=30)
SENSOR = Sensor(
    id=SensorId(1), station=StationId("s"), quantity="water_level",
    unit=Unit(symbol="m", dimension="length", scale=1.0), time_zone="Asia/Tokyo", report_every=10 * MINUTE,
)  # fmt: skip
WORD = {Event.RAISED: "firing", Event.CONFIRMED: "firing", Event.RESOLVED: "resolved", Event.WITHDRAWN: "withdrawn"}


def threshold(**more: Any) -> Threshold:
    return Threshold(
        **({"station": StationId("s"), "level": 3, "value_m": 2.0, "valid_from": START - timedelta(days=1)} | more)
    )


class Record:
    """The record of one sensor, as the engine would write it; and what people were told last of each alert."""

    def __init__(self, rule: Threshold) -> None:
        self.rule = rule
        self.line: dict[datetime, Reading] = {}
        self.alerts: dict[int, Alert] = {}
        self.words: dict[int, str] = {}
        self.answers: dict[int, bool] = {}
        self._ids = count(1)

    def hear(self, readings: list[Reading], now: datetime, *, unfit: bool = False) -> None:
        self.line |= {r.observed_at: r for r in readings}
        line = [r for _, r in sorted(self.line.items())]
        found = episodes(line, [self.rule])
        known = list(self.alerts.values())
        changes, gone = reconcile(
            SENSOR, known, found, newest=line[-1].observed_at, now=now, within=WITHIN, unfit=unfit
        )
        for alert, merged in gone:
            if alert.paged_at is not None and alert.state in ("firing", "resolved") and not merged:
                self.words[alert.id] = "withdrawn"
            del self.alerts[alert.id]
        for change in changes:
            episode, match = change.episode, change.match
            alert = Alert(
                id=next(self._ids) if match is None else match.id, kind="level", station=StationId("s"), river=None,
                sensor=SENSOR.id, subject="", level=3, threshold_m=2.0, state=change.state,
                started_at=episode.started_at, ended_at=episode.ended_at, value_m=episode.value_m,
                peak_m=episode.peak_m, verified=change.verified, status="actual", paged_at=change.paged_at,
                detail=change.detail, incident=None,
                acknowledged_at=None if match is None or change.anew else match.acknowledged_at, confirmed_at=None,
                dismissed_at=None if match is None or change.anew else match.dismissed_at,
            )  # fmt: skip
            self.alerts[alert.id] = alert
            for event in change.tell:
                self.words[alert.id] = WORD[event]
            if Event.RAISED in change.tell and match is not None:
                assert alert.acknowledged_at is None, "what is raised again nobody has answered"

    def check(self) -> None:
        for id_, alert in self.alerts.items():
            state = "withdrawn" if alert.state == "pending" else alert.state
            if alert.paged_at is not None:
                assert self.words[id_] == state
            else:
                assert id_ not in self.words


def reading(minute: float, value: float, flag: Flag = Flag.GOOD, reasons: int | None = None) -> Reading:
    at = START + minute * MINUTE
    reasons = int(Reason.RATE) * (flag is Flag.SUSPECT) if reasons is None else reasons
    return Reading(SENSOR.id, at, value, at, flag, reasons)


points = st.lists(
    st.tuples(
        st.sampled_from([1, 4, 10, 10, 10, 25]), st.sampled_from([0.0, 1.2, 1.9, 1.97, 2.0, 2.3, 2.3, 6.1, 6.2, 9.6]),
        st.sampled_from([Flag.GOOD] * 3 + [Flag.SUSPECT, Flag.FAIL]),
    ),
    min_size=1, max_size=25,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(points, st.randoms(use_true_random=False), st.sampled_from([0, 10, 20]), st.sampled_from([0, 20]))
def test_the_last_word_is_the_state_for_every_stream_order_delay_and_change_of_flags(
    drawn: list[tuple[int, float, Flag]], chance: Any, hold: int, keep: int
) -> None:
    rule = threshold(hold=hold * MINUTE, keep_firing=keep * MINUTE)
    record, minute, way = Record(rule), 0.0, []
    for step, value, flag in drawn:
        minute += step
        delay = chance.choice([0, 0, 0, 1, 15, 45])
        way.append((minute + delay, reading(minute, value, flag)))
        if chance.random() < 0.3:  # quality control thinks again
            other = chance.choice([Flag.GOOD, Flag.SUSPECT, Flag.FAIL])
            way.append((minute + delay + chance.choice([0, 5, 20]), reading(minute, value, other)))
    arriving = sorted(way, key=lambda pair: pair[0])
    while arriving:
        size = chance.choice([1, 1, 2, 5])
        batch, arriving = arriving[:size], arriving[size:]
        record.hear([r for _, r in batch], START + batch[-1][0] * MINUTE, unfit=chance.random() < 0.1)
        record.check()
        for id_, alert in record.alerts.items():
            if alert.paged_at is not None and chance.random() < 0.2:  # a person answers, or takes it for a fault
                record.alerts[id_] = alert = replace(alert, acknowledged_at=START)
                if not alert.verified and chance.random() < 0.5:
                    record.alerts[id_] = replace(alert, dismissed_at=START, state="withdrawn")
                    record.words[id_] = "withdrawn"


def test_one_low_reading_in_the_middle_of_a_flood_is_told_to_nobody() -> None:
    record = Record(threshold(value_m=2.0))
    for minute, value in ((0, 1.9), (10, 6.1), (15, 6.14)):
        record.hear([reading(minute, value)], START + minute * MINUTE)
    record.hear([reading(20, 0.0, Flag.SUSPECT)], START + 20 * MINUTE)
    assert list(record.words.values()) == ["firing"]
    record.hear([reading(24, 6.15)], START + 24 * MINUTE)
    assert list(record.words.values()) == ["firing"]


def test_what_is_back_after_its_end_is_raised_again_and_nobody_has_answered_it() -> None:
    record = Record(threshold())
    record.hear([reading(0, 1.0), reading(10, 2.5), reading(20, 1.8)], START + 20 * MINUTE)
    ((id_, alert),) = record.alerts.items()
    assert (alert.state, record.words[id_]) == ("resolved", "resolved")
    record.alerts[id_] = replace(alert, acknowledged_at=START)
    record.hear([reading(20, 1.8, Flag.FAIL), reading(25, 2.6)], START + 200 * MINUTE)
    assert (record.alerts[id_].state, record.words[id_]) == ("firing", "firing"), "however old"
    assert record.alerts[id_].acknowledged_at is None


def test_a_dismissal_outlives_no_reading_that_proves_it_wrong_and_is_forgotten_then() -> None:
    record = Record(threshold())
    record.hear([reading(0, 1.0), reading(10, 2.5, Flag.SUSPECT)], START + 10 * MINUTE)
    ((id_, alert),) = record.alerts.items()
    record.alerts[id_] = replace(alert, acknowledged_at=START, dismissed_at=START, state="withdrawn")
    record.hear([reading(20, 2.6)], START + 20 * MINUTE)
    back = record.alerts[id_]
    assert (back.state, back.verified, back.acknowledged_at, back.dismissed_at) == ("firing", True, None, None)


def test_a_sensor_that_contradicts_itself_raises_nothing_new_and_verifies_nothing() -> None:
    record = Record(threshold())
    record.hear([reading(0, 1.0), reading(10, 2.5), reading(20, 2.6)], START + 20 * MINUTE, unfit=True)
    ((_, alert),) = record.alerts.items()
    assert (alert.state, alert.verified, alert.paged_at, alert.detail["reasons"]) == ("firing", False, None, ["unfit"])


def test_an_alert_whose_time_alone_is_in_doubt_is_unverified_and_ends_as_a_flood_does() -> None:
    episode = Episode(kind="level", started_at=START, time_sure=False, ended_at=START + 60 * MINUTE)
    assert state_of(episode, verified=False, dismissed=False) == "resolved"
    assert state_of(replace(episode, ended_at=None), verified=False, dismissed=True) == "withdrawn"
    assert state_of(replace(episode, verified=False), verified=False, dismissed=False) == "withdrawn"


def test_only_the_first_word_depends_on_the_age_of_the_evidence() -> None:
    episode = Episode(kind="level", started_at=START)
    old: dict[str, Any] = {"verified": True, "newest": START, "now": START + 9 * WITHIN, "within": WITHIN}
    assert due(episode, "firing", Before(), **old) == []
    assert due(episode, "firing", Before(state="withdrawn", paged=True), **old) == [Event.RAISED]
    assert due(episode, "firing", Before(state="resolved", paged=True, verified=True), **old) == [Event.RAISED]
    assert due(episode, "pending", Before(state="firing", paged=True, verified=True), **old) == [Event.WITHDRAWN]


def news(late: timedelta, lag: Lag | None = None, *, waited: float = 20, usual: float = 0) -> dict[str, Any] | None:
    now = START + timedelta(seconds=waited)
    return late_news(START - late, START, lag, usual=usual * MINUTE, now=now, within=WITHIN)


def test_a_feed_that_is_always_late_is_told_with_its_age_once_it_has_brought_its_newest() -> None:
    told = news(40 * MINUTE)
    assert told is not None
    assert told["age_min"] == 40
    assert news(40 * MINUTE, waited=5) is None, "more may follow"
    assert news(40 * MINUTE, waited=3600) is None, "the feed is silent"
    assert news(timedelta(hours=5)) is None, "a replay"
    assert news(timedelta(days=400)) is None
    assert news(timedelta(hours=5), usual=300) == {}


def test_a_clock_that_is_behind_is_told_in_doubt_with_the_reason() -> None:
    nine = timedelta(hours=9, seconds=3)
    told = news(nine, Lag(nine, "zone", live=False))
    assert told is not None
    assert told["reasons"] == ["clock"]
    assert told["message"]["en"] == "its times are 9 h 00 min behind: time zone?"
    year = timedelta(days=400)
    assert news(year, Lag(year, "constant", live=True)) is None, "replayed at its own pace"
