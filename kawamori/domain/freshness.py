"""How old a number may be before the screen must say so, and which link of the chain it waits for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Freshness(StrEnum):
    """Fresh up to 1.5 reporting intervals, late up to 3, then dead."""

    FRESH = "fresh"
    LATE = "late"
    DEAD = "dead"


LATE_AFTER = 1.5
DEAD_AFTER = 3.0


def freshness(age: timedelta | None, interval: timedelta) -> Freshness:
    """Judge a reading's age by its sensor's reporting interval; a sensor that never reported is dead."""
    if age is None or age > DEAD_AFTER * interval:
        return Freshness.DEAD
    return Freshness.LATE if age > LATE_AFTER * interval else Freshness.FRESH


def expected_interval(
    value: float | None, usual: timedelta, when_low: timedelta | None, low_below: float | None
) -> timedelta:
    """How often the sensor should report now: low-cost crisis gauges report once a day while the water is low."""
    if value is not None and when_low is not None and low_below is not None and value < low_below:
        return when_low
    return usual


class Silence(StrEnum):
    """Why nothing new comes from a station."""

    SENSOR = "sensor"
    GATEWAY = "gateway"
    #: What was measured waits between the gateway and our database.
    SERVER = "server"


#: A gateway says every few seconds that it is there; the alert of its silence waits as long.
GATEWAY_SILENT_AFTER = timedelta(seconds=60)
#: Ingest says every 5 s that it is there, and commits within a second what a gateway holds.
INGEST_SILENT_AFTER = timedelta(seconds=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What is known of the links between the sensors and the database."""

    #: When any ingest last said that it is there.
    ingest_seen: datetime | None
    #: When readings were last committed.
    committed_at: datetime | None
    #: When each gateway was last heard, and how many rows it had still to forward.
    gateways: Mapping[str, tuple[datetime, int]]


def _away(links: Links, now: datetime) -> bool:
    return links.ingest_seen is None or now - links.ingest_seen > INGEST_SILENT_AFTER


def _heard(links: Links, now: datetime) -> set[str]:
    return {name for name, (seen, _) in links.gateways.items() if now - seen <= GATEWAY_SILENT_AFTER}


def _waiting(links: Links, now: datetime) -> set[str]:
    """The gateways that are heard and hold rows while nothing is committed."""
    if links.committed_at is not None and now - links.committed_at <= INGEST_SILENT_AFTER:
        return set()
    return {name for name in _heard(links, now) if links.gateways[name][1] > 0}


def server_behind(links: Links, now: datetime) -> bool:
    """Whether what is measured does not reach the database: true long before the first station's number is old."""
    return _away(links, now) or bool(_waiting(links, now))


def silent_link(gateway: str | None, links: Links, now: datetime) -> Silence:
    """The link at fault when a sensor that reports through `gateway` (None: not known) is not fresh.

    Ours first: while ingest is away no gateway is heard either. A gateway that holds rows while nothing is committed
    is waiting for us. Where no gateway is known for the sensor, all known ones must be silent to blame them.
    """
    mine = {gateway} if gateway is not None and gateway in links.gateways else set(links.gateways)
    if _away(links, now) or mine & _waiting(links, now):
        return Silence.SERVER
    return Silence.GATEWAY if mine and not mine & _heard(links, now) else Silence.SENSOR
