"""How old a number may be before the screen must say so, and which link of the chain it waits for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class Freshness(StrEnum):
    """Fresh up to 1.5 reporting intervals, late up to 3, then dead."""

    FRESH = "fresh"
    LATE = "late"
    DEAD = "dead"


LATE_AFTER = 1.5
DEAD_AFTER = 3.0
#: So far a sensor's clock may run ahead of ours, as ingest accepts it (KAWAMORI_INGEST__AHEAD); what says that it was
#: measured later than that is of no known time, and must not be taken for the newest for as long as it lies ahead.
AHEAD = timedelta(minutes=5)


def freshness(age: timedelta | None, interval: timedelta) -> Freshness:
    """Judge a reading's age by its sensor's reporting interval.

    A sensor that never reported is dead, and so is one whose newest reading lies in the future.
    """
    if age is None or age > DEAD_AFTER * interval or age < -AHEAD:
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


class GatewayLink(NamedTuple):
    """What is known of one gateway."""

    seen_at: datetime
    #: How many rows it had still to forward.
    backlog: int = 0
    #: Since when it has held rows while nothing of it was committed; None while it has none or they go on.
    held_since: datetime | None = None
    #: Rows that it could not deliver and set aside: a person looks at them.
    set_aside: int = 0

    def heard(self, now: datetime) -> bool:
        """Whether it is there."""
        return now - self.seen_at <= GATEWAY_SILENT_AFTER

    def waiting(self, now: datetime) -> bool:
        """Whether it is there and waits for us in vain."""
        return self.heard(now) and self.held_since is not None and now - self.held_since > INGEST_SILENT_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What is known of the links between the sensors and the database."""

    #: When any ingest last said that it is there.
    ingest_seen: datetime | None
    gateways: Mapping[str, GatewayLink]


def _away(links: Links, now: datetime) -> bool:
    return links.ingest_seen is None or now - links.ingest_seen > INGEST_SILENT_AFTER


def server_behind(links: Links, now: datetime) -> bool:
    """Whether what is measured does not reach the database: true long before the first station's number is old."""
    return _away(links, now) or any(gateway.waiting(now) for gateway in links.gateways.values())


def silent_link(gateway: str | None, links: Links, now: datetime) -> Silence:
    """The link at fault when a sensor that reports through `gateway` (None: not known) is not fresh.

    Ours first: while ingest is away no gateway is heard either, and a gateway whose rows are not committed waits for
    us. Where no gateway is known for the sensor, all known ones must be silent to blame them.
    """
    known = links.gateways
    mine = [known[gateway]] if gateway is not None and gateway in known else list(known.values())
    if _away(links, now) or any(one.waiting(now) for one in mine):
        return Silence.SERVER
    return Silence.GATEWAY if mine and not any(one.heard(now) for one in mine) else Silence.SENSOR
