"""What still goes out while the database is away: that alerting is impaired, and crossings read off the broker.

Nothing can be recorded then, so nothing is judged as usual. Devices' readings are held against the thresholds last
known, without quality control or history; whoever is told reads 未確認, and that nothing is being recorded.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from alerts.channels import Channel
from alerts.delivery import send_directly
from alerts.engine import Engine
from alerts.messages import JST, Told, first_line
from alerts.selftest import watchers
from kawamori import wire
from kawamori.domain.flood import Threshold, flood_level
from kawamori.domain.quantity import convert
from kawamori.domain.reading import SensorId, StationId
from kawamori.domain.registry import Registry, Sensor
from kawamori.errors import StorageUnavailable, UndecodableMessage
from kawamori.mqtt import Link
from kawamori.observe import log
from kawamori.runtime import sleep_or_stop
from kawamori.settings import Settings
from kawamori.storage.alerts import Alert, note
from kawamori.storage.database import Database

#: So long without the database, and alerting counts as impaired.
IMPAIRED_AFTER = timedelta(seconds=10)
_REMEMBER_EVERY = timedelta(seconds=2)
_ANSWER_S = 4.0


def blind_reading(
    registry: Registry, device: str, reading: wire.DeviceReading
) -> tuple[Sensor, float] | None:  # fmt: skip
    """Which water level a device's reading stands for, in m; None where it stands for none, or for none possible. Pure.

    The same way as ingest's, without its memory: unit, deployment in force, range of the sensor.
    """
    found = registry.deployments.get((device, reading.quantity), ())
    deployment = next((d for d in reversed(found) if d.in_force(reading.time)), None)
    unit = registry.units.get(reading.unit)
    value = reading.value
    if deployment is None or unit is None or not isinstance(value, (int, float)):
        return None
    sensor = deployment.sensor
    if sensor.quantity != "water_level":
        return None
    try:
        metres = convert(float(value), unit, deployment.unit) * deployment.scale + deployment.shift
    except ValueError:
        return None
    limits = sensor.limits
    low, high = limits.range_min, limits.range_max
    if (low is not None and metres < low) or (high is not None and metres > high):
        return None
    return sensor, metres


class Blackout:
    """Watches whether the database answers; while it does not, tells people directly what the devices say."""

    def __init__(
        self, settings: Settings, channels: Sequence[Channel], database: Database, engine: Engine,
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._settings, self._channels, self._database = settings, channels, database
        self._engine, self._clock = engine, clock
        self._seen_at = clock()
        self._remembered_at = clock()
        #: Of each station the highest level that people know of.
        self._known: dict[StationId, int] = {}
        self._since: datetime | None = None

    async def _look(self) -> None:
        """Ask the database by itself: an engine that is long at work is no blackout."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._database.ping()
        except (StorageUnavailable, TimeoutError):
            return
        self._seen_at = self._clock()
        if self._since is None and self._seen_at - self._remembered_at > _REMEMBER_EVERY:
            self._remembered_at = self._seen_at
            self._known = self._engine.flood_levels()

    def trouble(self) -> str | None:
        """That alerting is impaired, and since when."""
        if self._since is None:
            return None
        return f"no database since {self._since.astimezone(JST):%H:%M:%S} JST: nothing is judged as usual"

    async def run(self, stop: asyncio.Event) -> None:
        """Look every second."""
        while not await sleep_or_stop(1.0, stop):
            await self._look()
            if self._clock() - self._seen_at > IMPAIRED_AFTER:
                await self._impaired(stop)

    async def _impaired(self, stop: asyncio.Event) -> None:
        since = self._since = self._seen_at
        log().error("alerting is impaired: the database does not answer")
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch_blindly(), name="blind-watch")
            group.create_task(
                self._say(
                    "【監視機能低下】データベースに接続できません",
                    f"{since.astimezone(JST):%m月%d日 %H:%M} からデータベースに接続できず、"
                    "通常の自動判定は止まっています。この間は基準水位への到達だけを、センサーから直接、"
                    "未確認のまま知らせます。復旧まで水位を別の手段でも確かめてください。\n\n"
                    "Alerting is impaired: no database. Crossings are told straight from the sensors,"
                    " unverified and unrecorded. Watch the levels by other means too.",
                    f"impaired-{since:%Y%m%d%H%M%S}",
                ),
                name="say-impaired",
            )
            while self._clock() - self._seen_at > IMPAIRED_AFTER and not await sleep_or_stop(0.5, stop):
                await self._look()
            watching.cancel()
        self._since = None
        if not stop.is_set():
            await self._recovered(since)

    async def _recovered(self, since: datetime) -> None:
        until = self._clock()
        lost = f"{since.astimezone(JST):%H:%M:%S}〜{until.astimezone(JST):%H:%M:%S}"
        log().info("the database answers again: alerting is as usual")
        try:
            async with self._database.transaction() as connection:
                for event, at in (("impaired", since), ("recovered", until)):
                    await note(connection, subject="alerting", subject_id="database", event=event,
                               detail={"at": at.isoformat(), "known": len(self._known)})  # fmt: skip
        except StorageUnavailable as error:
            log().warning("that alerting was impaired could not be written down", error=str(error))
        await self._say(
            "【監視復旧】データベースに接続できました",
            f"{lost} の測定値は中継器に保存されており、順に記録して判定します。\n\n"
            "Alerting is as usual again; what was measured meanwhile is being recorded and judged.",
            f"recovered-{until:%Y%m%d%H%M%S}",
        )

    async def _watch_blindly(self) -> None:
        """Hear the devices themselves, and tell of levels that nobody knows of yet."""
        if self._settings.mqtt_url is None:
            return
        link = Link(self._settings.mqtt(), f"kawamori-alerts-{uuid4().hex[:12]}", [wire.DEVICE_READINGS])
        async with asyncio.TaskGroup() as group:
            group.create_task(link.stay_connected(), name="blind-link")
            while True:
                messages = await link.receive(500)
                link.acknowledge(messages)
                for message in messages:
                    try:
                        device = wire.decode_device_message(message.topic, message.payload)
                        readings = wire.decode_readings(device.readings)
                    except UndecodableMessage:
                        continue  # the gateway keeps it for quarantine
                    for reading in readings:
                        told = self._judge(device.device, reading)
                        if told is not None:
                            group.create_task(self._tell(told), name="blind-tell")

    def _judge(self, device: str, reading: wire.DeviceReading) -> Told | None:
        """What people do not know yet: a level higher than they were told of."""
        found = blind_reading(self._engine.registry, device, reading)
        if found is None or self._clock() - reading.time > self._settings.alerts.page_within:
            return None
        sensor, metres = found
        registry = self._engine.registry
        thresholds = registry.thresholds_at(sensor.station, reading.time)
        level = flood_level(metres, thresholds)
        if level <= self._known.get(sensor.station, 0):
            return None
        self._known[sensor.station] = level
        threshold = next(t for t in thresholds if t.level == level)
        return Told(
            event="raised", alert=_blind_alert(sensor.id, threshold, reading.time, metres, self._settings.site.status),
            station=registry.stations[sensor.station],
        )  # fmt: skip

    async def _tell(self, told: Told) -> None:
        line = first_line(told, self._engine.names)
        await self._say(
            line,
            f"{line}\nデータベース停止中：センサーから直接読み取った値で、記録も品質の確認もされていません。\n\n"
            "No database: read straight from the sensor, neither recorded nor checked.",
            f"blind-{told.alert.station}-{told.alert.level}-{told.alert.started_at:%Y%m%d%H%M%S}",
        )

    async def _say(self, subject: str, body: str, key: str) -> None:
        await send_directly(self._channels, watchers(self._settings), subject, body, key)


def _blind_alert(sensor: SensorId, threshold: Threshold, at: datetime, metres: float, status: str) -> Alert:
    return Alert(
        id=0, kind="level", station=threshold.station, river=None, sensor=sensor, subject="", level=threshold.level,
        threshold_m=threshold.value_m, state="firing", started_at=at, ended_at=None, value_m=metres, peak_m=metres,
        verified=False, status=status, paged_at=None, detail={}, incident=None, acknowledged_at=None,
        confirmed_at=None, dismissed_at=None,
    )  # fmt: skip
