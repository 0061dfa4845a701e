"""From the river's words to the fields of the HTTP contract; pure."""

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from api.registry_cache import Directory, ward
from kawamori.domain.flood import Threshold, flood_level, next_threshold
from kawamori.domain.freshness import AHEAD, Freshness, Links, expected_interval, freshness, silent_link
from kawamori.domain.notices import Notice
from kawamori.domain.reading import Flag, SensorId, StationId, reason_names
from kawamori.domain.registry import Sensor, Station
from kawamori.storage.alert_pages import Alert
from kawamori.storage.audit_pages import Entry
from kawamori.storage.charts import Resolution, expected_readings
from kawamori.storage.incident_pages import ListedIncident
from kawamori.storage.levels import Latest
from kawamori.storage.news import LiveReading
from kawamori.storage.notifications import Notification
from kawamori.storage.quarantine_pages import Refused
from kawamori.storage.registry import CrossSection, Datum, Deployed, zero_at
from kawamori.storage.system import Alerting, Process, QuarantineFacts

Json = dict[str, Any]
#: What sparklines are made of.
RECENT_STEP = timedelta(minutes=10)
#: Stations shown up and down the river.
NEIGHBOURS = 2
#: A tenth of a millimetre: differences of stored values carry no more.
DIGITS = 4


def latest_levels(found: Iterable[Latest], directory: Directory, at: datetime) -> Json:
    """Every water level station now that is in service, upstream first on each river."""
    newest = {latest.sensor: latest for latest in found}
    return {
        "as_of": at,
        "stations": [
            _level(station, sensor, newest[sensor.id], directory, at)
            for station in directory.registry.stations.values()
            if (sensor := directory.sensors.get((station.id, "water_level")))
            and sensor.id in newest
            and not sensor.is_retired(at)
        ],
    }


def name_silences(
    levels: Iterable[Json], found: Iterable[Latest], directory: Directory, links: Links, at: datetime
) -> None:
    """Set `silence` of the levels that wait for a reading: the link that is silent, `at` by the clock of the links.

    Where readings arrive and fail none is silent.
    """
    gateways = {latest.sensor: latest.gateway for latest in found}
    for level in levels:
        age = None if level["age_s"] is None else timedelta(seconds=level["age_s"])
        if age is not None and age < -AHEAD:  # it speaks, of a time to come: its clock is wrong, no link is silent
            continue
        if freshness(age, timedelta(seconds=level["report_every_s"])) is not Freshness.FRESH:
            sensor = directory.sensors[level["station_id"], "water_level"]
            level["silence"] = silent_link(gateways.get(sensor.id), links, at)


def _share(judged: float | None, thresholds: Iterable[Threshold]) -> float | None:
    """How far the water is on the way from the level-1 to the level-4 threshold: 0 there, 1 here."""
    known = {t.level: t.value_m for t in thresholds}
    if judged is None or 1 not in known or 4 not in known or known[4] <= known[1]:
        return None
    return round((judged - known[1]) / (known[4] - known[1]), DIGITS)


def recent(
    found: Iterable[tuple[SensorId, datetime, float]], directory: Directory, start: datetime, steps: int
) -> Json:
    """Ten-minute means by station, one list of `steps` values each; null where nothing good was measured."""
    stations = {
        sensor.id: station for (station, quantity), sensor in directory.sensors.items() if quantity == "water_level"
    }
    levels: dict[StationId, list[float | None]] = {}
    for sensor, at, mean in found:
        if sensor in stations:
            values = levels.setdefault(stations[sensor], [None] * steps)
            values[(at - start) // RECENT_STEP] = round(mean, 3)
    return {"from": start, "step_s": RECENT_STEP.total_seconds(), "levels": levels}


def _judged(latest: Latest) -> tuple[datetime | None, float | None]:
    """What the station is judged by: its newest reading, or where that failed the newest trusted one."""
    failed = latest.flag is not None and latest.flag >= Flag.FAIL
    return (latest.trusted or (None, None)) if failed else (latest.observed_at, latest.value)


def _level(station: Station, sensor: Sensor, latest: Latest, directory: Directory, at: datetime) -> Json:
    judged_at, judged = _judged(latest)
    interval = expected_interval(judged, sensor.report_every, sensor.report_every_low, station.observation_start_m)
    age = None if latest.observed_at is None else at - latest.observed_at
    thresholds = directory.thresholds[station.id]
    reached = 0 if judged is None else flood_level(judged, thresholds)
    ahead = None if judged is None else next_threshold(judged, thresholds)
    return {
        **directory.headings[station.id],
        "level_m": latest.value,
        "judged_m": judged,
        "judged_at": judged_at,
        "observed_at": latest.observed_at,
        "age_s": None if age is None else round(age.total_seconds(), 1),
        "flag": latest.flag,
        "quality_reasons": reason_names(latest.reasons),
        "flood_level": reached,
        "flood_level_name": directory.levels[reached].name,
        "next_threshold": ahead
        and {
            "level": ahead.level,
            "value_m": ahead.value_m,
            "metres_to_go": round(ahead.value_m - (judged or 0.0), DIGITS),
        },
        "freeboard_m": None if judged is None or station.crest_m is None else round(station.crest_m - judged, DIGITS),
        "trend_m_per_h": None if latest.trend_h is None else round(latest.trend_h, DIGITS),
        "level_share": _share(judged, thresholds),
        "arrival": None,
        "freshness": freshness(None if judged_at is None else at - judged_at, interval),
        "silence": None,
        "report_every_s": round(interval.total_seconds()),
    }


def neighbours(found: Station, directory: Directory) -> Json:
    """The next stations up and down the river, the nearest first."""
    if found.km is None:
        return {"upstream": [], "downstream": []}
    order = directory.along[found.river]
    here = order.index(found.id)
    return {
        "upstream": list(order[max(0, here - NEIGHBOURS) : here][::-1]),
        "downstream": list(order[here + 1 : here + 1 + NEIGHBOURS]),
    }


def cross_section(found: CrossSection | None) -> Json | None:
    """The river bed, left bank first looking downstream."""
    return None if found is None else {"valid_from": found.valid_from, "points": found.points}


def datum(found: Datum) -> Json:
    """A gauge's zero, since when it lies there."""
    return {"valid_from": found.valid_from, "gauge_zero_tp_m": found.gauge_zero_tp_m}


def above_sea(datums: Sequence[Datum], row: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """A row of a history in metres T.P., by the gauge zero of its time; None where none was known then."""
    zero = zero_at(datums, row[0])
    if zero is None:
        return None
    # a reading's value and what it was before a correction, or what a summary knows of heights
    heights = (1, 4) if isinstance(row[2], int) else (1, 2, 3)
    return tuple(
        round(float(cell) + zero, 6) if place in heights and cell is not None else cell
        for place, cell in enumerate(row)
    )


def station(found: Station, directory: Directory) -> Json:
    """A station with its datum, thresholds in force and sensors."""
    return {
        "station_id": found.id,
        "name": {"ja": found.name_ja, "en": found.name_en},
        "river": {"river_id": found.river, "name": {"ja": found.river_name_ja, "en": found.river_name_en}},
        "lon": found.lon,
        "lat": found.lat,
        "km": found.km,
        "time_zone": found.time_zone,
        "gauge_zero_tp_m": found.gauge_zero_tp_m,
        "ward": ward(found),
        "crest_m": found.crest_m,
        "crest_left_m": found.crest_left_m,
        "crest_right_m": found.crest_right_m,
        "design_high_water_m": found.design_high_water_m,
        "observation_start_m": found.observation_start_m,
        "thresholds": [_threshold(t, directory) for t in directory.thresholds[found.id]],
        "sensors": [_sensor(s) for s in directory.sensors_at.get(found.id, ())],
        "neighbours": neighbours(found, directory),
    }


def _threshold(found: Threshold, directory: Directory) -> Json:
    return {
        "level": found.level,
        "name": directory.levels[found.level].name,
        "value_m": found.value_m,
        "hysteresis_m": found.hysteresis_m,
        "hold_s": found.hold.total_seconds(),
        "valid_from": found.valid_from,
        "valid_to": found.valid_to,
    }


def _sensor(found: Sensor) -> Json:
    low = found.report_every_low
    return {
        "sensor_id": found.id,
        "quantity": found.quantity,
        "unit": found.unit.symbol,
        "report_every_s": round(found.report_every.total_seconds()),
        "report_every_low_s": None if low is None else round(low.total_seconds()),
        "retired_at": found.retired_at,
    }


def deployed(found: Deployed) -> Json:
    """A box at a station, and how it said it was."""
    return {
        "device_id": found.device,
        "kind": found.kind,
        "quantity": found.quantity,
        "sensor_quantity": found.sensor_quantity,
        "valid_from": found.valid_from,
        "valid_to": found.valid_to,
        "status": found.status,
        "status_at": found.status_at,
        "heard_at": max((at for at in (found.status_at, found.read_at) if at is not None), default=None),
    }


def geojson(directory: Directory) -> Json:
    """Stations as points, rivers as lines."""
    rivers = [
        {
            "type": "Feature",
            "id": river.id,
            "geometry": {"type": "LineString", "coordinates": river.course},
            "properties": {"kind": "river", "river_id": river.id, "name": river.name},
        }
        for river in directory.rivers
        if river.course
    ]
    stations = [
        {
            "type": "Feature",
            "id": found.id,
            "geometry": {"type": "Point", "coordinates": [found.lon, found.lat]},
            "properties": {
                "kind": "station",
                "station_id": found.id,
                "river_id": found.river,
                "name": {"ja": found.name_ja, "en": found.name_en},
            },
        }
        for found in directory.registry.stations.values()
        if found.lon is not None and found.lat is not None
    ]
    return {"type": "FeatureCollection", "features": rivers + stations}


def raw_point(row: tuple[Any, ...]) -> Json:
    """One reading of a history, with the reasons of its flag and what a person corrected, where there are any."""
    point = {"time": row[0], "value": row[1], "flag": row[2]}
    if row[3]:
        point["reasons"] = reason_names(row[3])
    if row[4] is not None:
        point["former"] = row[4]
    return point


def bucket_point(row: tuple[Any, ...], resolution: Resolution, sensor: Sensor) -> Json:
    """One summary of a history; its time is the bucket's start."""
    expected = expected_readings(row[0], resolution, sensor)
    point = {
        "time": row[0], "min": row[1], "mean": round(float(row[2]), 6), "max": row[3], "n": row[4],
        "expected": expected, "complete": row[4] >= expected,
    }  # fmt: skip
    if sensor.is_amount:
        point["sum"] = round(float(row[5]), 6)
    return point


def raw_cells(row: tuple[Any, ...]) -> list[Any]:
    """A reading's columns of a file, after its time."""
    return [*row[1:3], " ".join(reason_names(row[3]))]


def bucket_columns(sensor: Sensor) -> list[str]:
    """The names of `bucket_cells`."""
    return ["min", "mean", "max", "n", *(["sum", "expected"] if sensor.is_amount else [])]


def bucket_cells(row: tuple[Any, ...], resolution: Resolution, sensor: Sensor) -> list[Any]:
    """A summary's columns of a file, after its time."""
    point = bucket_point(row, resolution, sensor)
    return [point[name] for name in bucket_columns(sensor)]


def alert(found: Alert) -> Json:
    """An alert, in a list and on the stream."""
    return {
        "id": found.id,
        "station_id": found.station,
        "river": found.river,
        "kind": found.kind,
        "subject": found.subject,
        "flood_level": found.flood_level,
        "state": found.shown_state,
        "started_at": found.started_at,
        "ended_at": found.ended_at,
        "retroactive": found.retroactive,
        "verified": found.verified,
        "status": found.status,
        "value_m": found.value_m,
        "threshold_m": found.threshold_m,
        "peak_m": found.peak_m,
        "recorded_at": found.recorded_at,
        "paged_at": found.paged_at,
        "acknowledged_at": found.acknowledged_at,
        "acknowledged_by": found.acknowledged_by,
        "confirmed_at": found.confirmed_at,
        "confirmed_by": found.confirmed_by,
        "dismissed_at": found.dismissed_at,
        "dismissed_by": found.dismissed_by,
        "shelved_until": found.shelved_until,
        "incident_id": found.incident,
        "detail": found.detail,
        "notes": found.notes,
    }


#: What stands for what not everybody may read.
HIDDEN = "…"
_ANSWER_LINK = re.compile(r"/acknowledge/[^\s\"]+")
#: Whoever knows these addresses can write there.
SECRET_CHANNELS = frozenset({"webhook", "slack", "teams", "webpush"})


def shown_address(channel: str, address: str) -> str:
    """An address as it may be shown: of one that is itself the key, the host. Pure."""
    if channel not in SECRET_CHANNELS:
        return address
    found = re.search(r"https?://[^/@\s\"?#]+", address)
    return f"{found.group()}/{HIDDEN}" if found else HIDDEN


def notification(found: Notification, *, trusted: bool) -> Json:
    """What somebody was told. Addresses are not for everybody, and links that answer for somebody for nobody."""
    own = found.channel == "log"
    by_settings = (found.contact or "").startswith("mail:")
    return {
        "id": found.id,
        "alert_id": found.alert,
        "incident_id": found.incident,
        "contact_id": None if by_settings else found.contact,
        "contact_name": found.contact_name,
        "channel": found.channel,
        "recipient": shown_address(found.channel, found.recipient) if trusted or own else HIDDEN,
        "event": found.event,
        "subject": found.subject,
        "body": _ANSWER_LINK.sub(f"/acknowledge/{HIDDEN}", found.body),
        "created_at": found.created_at,
        "attempts": found.attempts,
        "delivered_at": found.delivered_at,
        "given_up_at": found.given_up_at,
        "last_error": found.last_error if trusted or found.last_error is None else HIDDEN,
        "instead_of": found.instead_of,
        "tried": [{**t, "answer": t["answer"] if trusted else HIDDEN} for t in found.tried],
    }


def entry(found: Entry, *, trusted: bool) -> Json:
    """A line of the audit."""
    detail = dict(found.detail)
    if not trusted and "to" in detail:
        detail["to"] = [HIDDEN if str(name).startswith("mail:") else name for name in detail["to"]]
    return {
        "id": found.id,
        "at": found.at,
        "who": found.who,
        "subject": found.subject,
        "subject_id": found.subject_id,
        "alert_id": found.alert,
        "event": found.event,
        "note": found.note,
        "detail": detail,
    }


def incident(found: ListedIncident) -> Json:
    """An incident, and what belongs to it."""
    return {
        "id": found.id,
        "topic": found.topic,
        "river": found.river,
        "status": found.status,
        "opened_at": found.opened_at,
        "closed_at": found.closed_at,
        "escalation_id": found.escalation,
        "step": found.step,
        "round": found.round,
        "escalate_at": found.escalate_at,
        "alerts": found.alerts,
    }


def alerting(found: Alerting) -> Json:
    """How alerting itself is."""
    return {
        "ok": found.ok,
        "why": found.why,
        "leader": found.leader,
        "lease_until": found.lease_until,
        "behind_s": found.behind_s,
        "oldest_unsent_s": found.oldest_unsent_s,
        "not_judged": found.not_judged,
        "clock_off_s": found.clock_off_s,
        "last_self_test": found.self_test and {"at": found.self_test[0], "ok": found.self_test[1]},
    }


def notice(found: Notice) -> Json:
    """What everybody must see."""
    return {
        "kind": found.kind,
        "key": found.key,
        "since": found.since,
        "until": found.until,
        "by": found.by,
        "text": {"ja": found.text_ja, "en": found.text_en},
    }


def process(found: Process) -> Json:
    """One process of a service."""
    return {"process": found.name, "seen_at": found.seen_at, "alive": found.alive}


def quarantined(found: QuarantineFacts) -> Json:
    """What was refused lately."""
    return {
        "last_hour": found.last_hour,
        "last_day": found.last_day,
        "newest": found.newest and dict(zip(("id", "received_at", "reason"), found.newest, strict=True)),
    }


def refused(found: Refused) -> Json:
    """A message in quarantine."""
    return {
        "id": found.id,
        "received_at": found.received_at,
        "topic": found.topic,
        "device_id": found.device,
        "reason": found.reason,
        "payload_base64": b64encode(found.payload).decode(),
        "payload_bytes": found.size,
    }


def live_reading(found: LiveReading, station_id: StationId, quantity: str) -> Json:
    """A reading on the stream."""
    return {
        "station_id": station_id,
        "sensor_id": found.sensor,
        "quantity": quantity,
        "time": found.observed_at,
        "value": found.value,
        "flag": found.flag,
        "received_at": found.received_at,
    }
