"""A typhoon night at the pace of real sensors: what the pictures of the console show."""

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta

from ingest.series import Outcome, QcWindow, append, follows, insert
from kawamori.domain.reading import Flag, Reading, Reason, SensorId
from simulators import night
from simulators.city import RIVERS, thresholds
from simulators.night import DOUBTFUL, SHOWN, SILENT, Heard

NOW = datetime(2026, 7, 14, tzinfo=UTC)


def of(heard: list[Heard], station: str) -> list[Heard]:
    return [h for h in heard if h.device_id == f"{station}-level"]


def judged(heard: list[Heard], station: str) -> list[Reading]:
    """A station's last four days as ingest stores them, arriving as they arrived."""
    limits = next(p for p in night.plans(NOW) if p.station_id == station).sensors[0].limits
    rows: dict[datetime, Reading] = {}
    tail = QcWindow()
    for one in of(heard, station):
        if one.reading.time < NOW - night.PAST * night.MINUTE:
            continue
        reading = Reading(SensorId(1), one.reading.time, one.reading.value, one.received_at, Flag.GOOD)
        after = timedelta(minutes=30)
        if follows(tail, [reading]):
            outcome: Outcome = append(tail, [reading], limits, after)
        else:
            outcome = insert(tail, [rows[at] for at in sorted(rows)], [reading], limits, after)
        tail = outcome.tail
        rows |= {r.observed_at: r for r in (*outcome.added, *(new for _, new in outcome.changed))}
    return [rows[at] for at in sorted(rows)]


def test_the_night_ends_now_in_the_middle_of_the_rise_with_some_stations_at_each_level() -> None:
    levels = night.weather("typhoon").levels
    reached = {}
    for stream in RIVERS:
        for gauge in stream.gauges:
            here, soon = levels[gauge.id][night.PAST], levels[gauge.id][night.PAST + 20]
            reached[gauge.id] = sum(bool(here >= value) for value in thresholds(gauge).values())
            assert soon > here - 0.25
    assert set(Counter(reached.values())) >= {0, 2, 3, 4, 5}


def test_quality_control_finds_what_is_amiss_at_the_station_people_look_at() -> None:
    rows = judged(night.history("typhoon", NOW, well=False), SHOWN)
    flags = Counter(r.flag for r in rows)
    assert (flags[Flag.FAIL], flags[Flag.SUSPECT]) == (3, 3)  # a step leaves the next reading in doubt with it
    assert sum(bool(r.reasons & Reason.LATE) for r in rows) == 24
    gaps = [b.observed_at - a.observed_at for a, b in itertools.pairwise(rows)]
    assert sorted(gaps)[-2:] == [timedelta(minutes=1), timedelta(minutes=36)]


def test_one_station_is_silent_and_one_says_what_its_neighbours_do_not() -> None:
    heard = night.history("typhoon", NOW, well=False)
    assert of(heard, SILENT)[-1].reading.time == NOW - timedelta(minutes=25)
    rows = judged(heard, DOUBTFUL)
    assert rows[-1].flag is Flag.SUSPECT
    assert rows[-1].observed_at == NOW - timedelta(minutes=2)


def test_on_a_calm_day_nothing_is_amiss() -> None:
    heard = night.history("calm", NOW, well=True)
    for station in (SHOWN, SILENT, DOUBTFUL):
        assert {(r.flag, r.reasons) for r in judged(heard, station)} == {(Flag.GOOD, 0)}


def test_no_device_says_two_things_of_one_moment_and_arrival_is_in_order() -> None:
    heard = night.history("typhoon", NOW, well=False)
    assert len({(h.device_id, h.reading.time) for h in heard}) == len(heard)
    assert all(a.received_at <= b.received_at for a, b in itertools.pairwise(heard))
    assert heard[-1].reading.time == NOW
