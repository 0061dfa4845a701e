"""From the river's words to the fields of the HTTP contract; pure."""

from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from api.directory import Directory
from kawamori.domain.flood import Threshold, flood_level, next_threshold
from kawamori.domain.freshness import DEAD_AFTER, expected_interval, freshness
from kawamori.domain.reading import Flag, StationId, reason_names
from kawamori.domain.registry import Sensor, Station
from kawamori.storage.history import Alert, Latest, LiveReading, Notification, Refused

Json = dict[str, Any]
#: A tenth of a millimetre: differences of stored values carry no more.
DIGITS = 4


def latest_levels(found: Iterable[Latest], directory: Directory, at: datetime) -> Json:
    """Every water level station now, upstream first on each river."""
    newest = {latest.sensor: latest for latest in found}
    return {
        "as_of": at,
        "stations": [
            _level(station, sensor, newest[sensor.id], directory, at)
            for station in directory.registry.stations.values()
            if (sensor := directory.sensors.get((station.id, "water_level"))) and sensor.id in newest
        ],
    }


def _judged(latest: Latest, interval: timedelta, at: datetime) -> float | None:
    """The level to judge by: the newest, or where that failed the newest trusted one while it is not dead."""
    if latest.flag is None or latest.flag < Flag.FAIL:
        return latest.value
    if latest.trusted is None or at - latest.trusted[0] > DEAD_AFTER * interval:
        return None
    return latest.trusted[1]


def _level(station: Station, sensor: Sensor, latest: Latest, directory: Directory, at: datetime) -> Json:
    interval = expected_interval(
        latest.value, sensor.report_every, sensor.report_every_low, station.observation_start_m
    )
    age = None if latest.observed_at is None else at - latest.observed_at
    thresholds = directory.thresholds[station.id]
    judged = _judged(latest, interval, at)
    reached = 0 if judged is None else flood_level(judged, thresholds)
    ahead = None if judged is None else next_threshold(judged, thresholds)
    return {
        **directory.headings[station.id],
        "level_m": latest.value,
        "judged_m": judged,
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
        "freshness": freshness(age, interval),
        "report_every_s": round(interval.total_seconds()),
    }


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
        "crest_m": found.crest_m,
        "design_high_water_m": found.design_high_water_m,
        "observation_start_m": found.observation_start_m,
        "thresholds": [_threshold(t, directory) for t in directory.thresholds[found.id]],
        "sensors": [_sensor(s) for s in directory.registry.sensors.values() if s.station == found.id],
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
    """One reading of a history."""
    return {"time": row[0], "value": row[1], "flag": row[2]}


def bucket_point(row: tuple[Any, ...]) -> Json:
    """One summary of a history; its time is the bucket's start."""
    return {"time": row[0], "min": row[1], "mean": round(float(row[2]), 6), "max": row[3], "n": row[4]}


def alert(found: Alert) -> Json:
    """An alert, in a list and on the stream."""
    return {
        "id": found.id,
        "station_id": found.station,
        "kind": found.kind,
        "flood_level": found.flood_level,
        "state": found.state,
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
    }


def notification(found: Notification) -> Json:
    """What somebody was told."""
    return {
        "id": found.id,
        "alert_id": found.alert,
        "channel": found.channel,
        "recipient": found.recipient,
        "event": found.event,
        "subject": found.subject,
        "body": found.body,
        "created_at": found.created_at,
        "attempts": found.attempts,
        "delivered_at": found.delivered_at,
        "last_error": found.last_error,
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
