"""Each station's state of alert as a retained MQTT message, for sirens and displays (kawamori.wire.StationState).

Only water counts, measured or seen by a person: no forecast, no trouble of the equipment, nothing learned too late to
tell anybody. Whatever changes the picture is seen by comparing it with the last one shown: readings, acknowledgements,
silences that begin and end.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import uuid4

from msgspec import structs

from kawamori.domain.rules.level import LevelRule
from kawamori.domain.rules.manual import ManualRule
from kawamori.domain.silence import Silence, silenced
from kawamori.errors import BrokerUnavailable
from kawamori.mqtt.publisher import Publisher
from kawamori.observe import log
from kawamori.runtime import now
from kawamori.settings import Settings
from kawamori.storage.alerts import Alert, open_alerts
from kawamori.storage.database import Database
from kawamori.storage.people import silences
from kawamori.storage.registry import registry_version
from kawamori.wire import Drill, StationState, alert_topic, encode

#: What sirens are to know of.
KINDS = (LevelRule.kind, ManualRule.kind)
_LOOK_S = 0.5
#: Everything is shown again so often, with the time: who reads it sees that somebody still looks.
_REPEAT_S = 30.0
#: A picture that took longer to read, in a process that froze, may be another engine's past.
_FRESH_S = 2.0
#: Messages that the broker has not confirmed yet, at most.
_UNCONFIRMED = 500


def station_state(station: str, alerts: Iterable[Alert], quiet: Sequence[Silence], at: datetime) -> StationState:
    """What a siren at that station is to know. Pure."""
    firing = [a for a in alerts if a.state == "firing" and a.paged_at is not None]
    loud = [
        a for a in firing
        if not silenced(quiet, at, alert=a.id, kind=a.kind, station=a.station, river=a.river, level=a.level)
    ]  # fmt: skip
    real = [a for a in loud if a.status == "actual"]
    worst = [a for a in real if a.level == max(r.level for r in real)]
    drill = max((a for a in loud if a.status != "actual"), key=lambda a: (a.level, a.started_at), default=None)
    first = min(worst, key=lambda a: a.started_at, default=None)
    hidden = max((a.level for a in firing if a.status == "actual" and a not in loud), default=-1)
    return StationState(
        station_id=station,
        flood_level=first.level if first else 0,
        state="firing" if first else "none",
        status="actual" if first or drill is None else _drill_status(drill),
        verified=any(a.verified for a in worst) or first is None,
        since=first.started_at if first else None,
        value_m=first.value_m if first else None,
        acknowledged=bool(worst) and all(a.acknowledged_at is not None for a in worst),
        silenced=hidden > (first.level if first else -1),
        drill=None if drill is None else Drill(
            status=_drill_status(drill), flood_level=drill.level, since=drill.started_at, value_m=drill.value_m,
        ),
        as_of=at,
    )  # fmt: skip


def _drill_status(alert: Alert) -> Literal["exercise", "test"]:
    return "test" if alert.status == "test" else "exercise"


class RetainedState:
    """Shows what changed, and everything now and then; only while this engine leads."""

    def __init__(
        self, database: Database, settings: Settings, leading: Callable[[], bool],
        clock: Callable[[], datetime] = now,
    ) -> None:  # fmt: skip
        self._database, self._settings, self._leading, self._clock = database, settings, leading, clock
        self._version: object = None
        #: What the states were made from last.
        self._picture: object = None
        self._stations: list[str] = []
        #: What the broker was given last; empty where it may have forgotten it.
        self._shown: dict[str, StationState] = {}
        self._shown_at = 0.0
        self._connection = 0
        #: Stations whose id no topic can hold.
        self._unsayable: set[str] = set()

    async def run(self) -> None:
        """Look and show until cancelled; raises StorageUnavailable."""
        async with Publisher(self._settings.mqtt(), f"kawamori-retained-{uuid4().hex[:12]}") as publisher:
            self._connection = 0
            while True:
                await publisher.wait_connected()
                await self._look(publisher)
                await asyncio.sleep(_LOOK_S)

    async def _look(self, publisher: Publisher) -> None:
        begun = time.monotonic()
        if not self._leading():
            self._shown.clear()
            return
        again = publisher.connections != self._connection or begun - self._shown_at > _REPEAT_S or not self._shown
        states = await self.states(unless_as_before=not again)
        if states is None or not self._leading() or time.monotonic() - begun > _FRESH_S:
            return
        if again:
            self._connection, self._shown_at = publisher.connections, begun
            self._shown.clear()
        try:
            await self._show(publisher, states)
        except BrokerUnavailable:
            self._shown.clear()

    async def states(self, *, unless_as_before: bool = False) -> dict[str, StationState] | None:
        """Every station's state of alert now, or None where nothing has changed; raises StorageUnavailable."""
        at = self._clock()
        async with self._database.transaction() as connection:
            version = await registry_version(connection)
            alerts = await open_alerts(connection, KINDS)
            quiet = list((await silences(connection, at)).values()) if alerts else []
        if version != self._version:
            self._stations = [row[0] for row in await self._database.fetch("stations_shown")]
            self._version = version
        before, self._picture = self._picture, (version, alerts, bool(quiet))
        if unless_as_before and not quiet and before == self._picture:
            return None
        found: dict[str, list[Alert]] = {}
        for alert in alerts:
            found.setdefault(alert.station or "", []).append(alert)
        return {station: station_state(station, found.get(station, ()), quiet, at) for station in self._stations}

    async def _show(self, publisher: Publisher, states: Mapping[str, StationState]) -> None:
        """Publish what is not shown yet, and take away what is no station any more."""
        for station, state in states.items():
            shown = self._shown.get(station)
            if shown is None or structs.replace(shown, as_of=state.as_of) != state:
                await publisher.room(_UNCONFIRMED)
                self._say(publisher, station, encode(state))
                self._shown[station] = state
        for station in self._shown.keys() - states.keys():
            self._say(publisher, station, b"")
            del self._shown[station]

    def _say(self, publisher: Publisher, station: str, payload: bytes) -> None:
        """Publish one station's state; one whose name is no part of a topic costs itself alone, and is named once."""
        try:
            publisher.publish(alert_topic(station), payload, retain=True)
        except ValueError as error:
            if station not in self._unsayable:
                self._unsayable.add(station)
                log().error("sirens cannot be told of a station: its id is no part of a topic", station=station,
                            error=str(error))  # fmt: skip
