"""What still goes out while the database is away: that alerting is impaired, and crossings read off the broker.

Nothing can be recorded then, so nothing is judged as usual. Devices' readings are held against the thresholds last
known, without quality control or history; whoever is told reads 未確認, and that nothing is being recorded.
Two engines hear the same devices: the one that led tells, and says so on the broker; another tells once it has not
heard that for a while. Waiting goes by a steady clock.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from alerts.channels import Channel
from alerts.delivery import send_directly, watchers
from alerts.engine import Engine
from alerts.messages import JST, AlertEvent, Names, first_line
from kawamori import wire
from kawamori.domain.flood import Threshold, flood_level
from kawamori.domain.reading import SensorId, StationId
from kawamori.domain.registry import Registry, Sensor
from kawamori.domain.validator import Validator
from kawamori.errors import BrokerUnavailable, KawamoriError, Refused, StorageUnavailable, UndecodableMessage
from kawamori.mqtt import Link, Message
from kawamori.observe import log
from kawamori.runtime import backoff, sleep_or_stop
from kawamori.settings import Settings
from kawamori.storage.alerts import Alert, known_levels
from kawamori.storage.audit import note
from kawamori.storage.database import Database
from kawamori.storage.evaluation import level_names
from kawamori.storage.registry import load_registry, registry_version

#: So long without the database, and alerting counts as impaired.
IMPAIRED_AFTER = timedelta(seconds=10)
_REMEMBER_EVERY_S = 2.0
_ANSWER_S = 4.0
#: Where the engine that tells without the database says that it does, every so often; one not heard for `_ALONE_S` is
#: taken for gone.
TELLING = "kawamori/v1/alerting/telling"
_SAY_S = 2.0
_ALONE_S = 10.0
#: Crossings told one by one within a minute; what goes beyond is told together at its end: whoever can publish on the
#: broker could otherwise page everybody for every level of every station.
ONE_BY_ONE, MINUTE_S = 10, 60.0


def blind_reading(
    validator: Validator, device: str, reading: wire.DeviceReading, arrived_at: datetime
) -> tuple[Sensor, float, datetime] | None:  # fmt: skip
    """Which water level a device's reading stands for, in m, and when; None where it stands for none that is possible.

    By the same validator as ingest, then by the sensor's own range: what quality control would fail is told to nobody.
    Pure.
    """
    value = reading.value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = validator.accept(
            device, arrived_at, reading.time, reading.quantity, float(value), reading.unit, arrived_at
        )  # fmt: skip
    except (Refused, ValueError, OverflowError):
        return None
    sensor = validator.registry.sensors.get(found.sensor)
    if sensor is None or sensor.quantity != "water_level":
        return None
    low, high = sensor.limits.range_min, sensor.limits.range_max
    if (low is not None and found.value < low) or (high is not None and found.value > high):
        return None
    return sensor, found.value, found.observed_at


class Pace:
    """At most so many messages a minute one by one; the rest together when the minute is over."""

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._told: deque[float] = deque()
        self._kept: list[AlertEvent] = []

    def take(self, told: AlertEvent) -> bool:
        """Whether it may be told by itself now; else it is kept for `rest`."""
        now = self._steady()
        while self._told and now - self._told[0] >= MINUTE_S:
            self._told.popleft()
        if len(self._told) < ONE_BY_ONE and not self._kept:
            self._told.append(now)
            return True
        self._kept.append(told)
        return False

    def rest(self) -> list[AlertEvent]:
        """What is to be told together now; nothing before a minute has passed since the first of those told."""
        now = self._steady()
        if not self._kept or (self._told and now - self._told[0] < MINUTE_S):
            return []
        kept, self._kept = self._kept, []
        self._told.clear()
        self._told.append(now)
        return kept


class Turn:
    """Whether this engine tells: the one that led does, another once nobody is heard, of two the lower name."""

    def __init__(self, name: str, steady: Callable[[], float], *, led: bool) -> None:
        self._name, self._steady = name, steady
        self._heard_at = steady()
        self._tells = led

    def hear(self, name: str) -> None:
        """Another engine says that it tells."""
        if name != self._name:
            self._heard_at = self._steady()
            if name < self._name:
                self._tells = False

    def tells(self) -> bool:
        """Whether to tell now."""
        if not self._tells and self._steady() - self._heard_at > _ALONE_S:
            self._tells = True
        return self._tells


class FallbackAlerting:
    """Watches whether the database answers; while it does not, tells people directly what the devices say."""

    def __init__(
        self, settings: Settings, channels: Sequence[Channel], database: Database, engine: Engine,
        clock: Callable[[], datetime], *, steady: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._settings, self._channels, self._database = settings, channels, database
        self._engine, self._clock, self._steady = engine, clock, steady
        self._name = uuid4().hex
        self._seen_at = steady()
        self._remembered_at = steady() - _REMEMBER_EVERY_S
        #: Of each station the highest level that people know of.
        self._known: dict[StationId, int] = {}
        self._validator = Validator(Registry(version=0), settings.ingest.oldest, settings.ingest.ahead)
        self._names: Names = {}
        self._led = False
        self._since: datetime | None = None

    async def _look(self) -> None:
        """Ask the database by itself: an engine that is long at work is no blackout."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._database.ping()
        except (StorageUnavailable, TimeoutError):
            return
        self._seen_at = self._steady()
        if self._since is None and self._seen_at - self._remembered_at >= _REMEMBER_EVERY_S:
            self._remembered_at = self._seen_at
            try:
                async with asyncio.timeout(_ANSWER_S):
                    await self._remember()
            except (KawamoriError, TimeoutError) as error:
                log().warning("what is known for a blackout is the last that could be read", error=str(error))

    async def _remember(self) -> None:
        """What people know and what is registered, read from the database: an engine that stands by knows as much."""
        async with self._database.transaction() as connection:
            self._known = await known_levels(connection)
            version = await registry_version(connection)
            if version != self._validator.registry.version:
                self._names = await level_names(connection)
        if version != self._validator.registry.version:
            registry = await load_registry(self._database)
            self._validator = Validator(registry, self._settings.ingest.oldest, self._settings.ingest.ahead)
        self._led = self._engine.leads

    def trouble(self) -> str | None:
        """That alerting is impaired, and since when."""
        if self._since is None:
            return None
        return f"no database since {self._since.astimezone(JST):%H:%M:%S} JST: nothing is judged as usual"

    def _is_away(self) -> bool:
        return self._steady() - self._seen_at > IMPAIRED_AFTER.total_seconds()

    async def run(self, stop: asyncio.Event) -> None:
        """Look every second."""
        while not await sleep_or_stop(1.0, stop):
            await self._look()
            if self._is_away():
                await self._impaired(stop)

    async def _impaired(self, stop: asyncio.Event) -> None:
        since = self._since = self._clock() - timedelta(seconds=self._steady() - self._seen_at)
        log().error("alerting is impaired: the database does not answer")
        turn = Turn(self._name, self._steady, led=self._led)
        said = False
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(turn), name="blind-watch")
            while self._is_away() and not await sleep_or_stop(0.5, stop):
                if turn.tells() and not said:
                    said = True
                    group.create_task(self._say_impaired(since), name="say-impaired")
                await self._look()
            watching.cancel()
        self._since = None
        if not stop.is_set():
            await self._recovered(since, told=said)

    async def _say_impaired(self, since: datetime) -> None:
        await self._say(
            "【監視機能低下】データベースに接続できません",
            f"{since.astimezone(JST):%m月%d日 %H:%M} からデータベースに接続できず、"
            "通常の自動判定は止まっています。この間は基準水位への到達だけを、センサーから直接、"
            "未確認のまま知らせます。復旧まで水位を別の手段でも確かめてください。\n\n"
            "Alerting is impaired: no database. Crossings are told straight from the sensors,"
            " unverified and unrecorded. Watch the levels by other means too.",
            f"impaired-{since:%Y%m%d%H%M%S}",
        )

    async def _recovered(self, since: datetime, *, told: bool) -> None:
        until = self._clock()
        lost = f"{since.astimezone(JST):%H:%M:%S}〜{until.astimezone(JST):%H:%M:%S}"
        log().info("the database answers again: alerting is as usual")
        if not told:
            return
        try:
            async with self._database.transaction() as connection:
                for event, at in (("impaired", since), ("recovered", until)):
                    await note(connection, subject="alerting", subject_id="database", event=event,
                               detail={"at": at.isoformat(), "known": len(self._known)})  # fmt: skip
        except KawamoriError as error:
            log().warning("that alerting was impaired could not be written down", error=str(error))
        await self._say(
            "【監視復旧】データベースに接続できました",
            f"{lost} の測定値は中継器に保存されており、順に記録して判定します。\n\n"
            "Alerting is as usual again; what was measured meanwhile is being recorded and judged.",
            f"recovered-{until:%Y%m%d%H%M%S}",
        )

    async def _watch(self, turn: Turn) -> None:
        """Watch blindly until cancelled; whatever breaks the watch costs a moment of it, never the service."""
        if self._settings.mqtt_url is None:
            return
        attempt = 0
        while True:
            try:
                await self._watch_blindly(turn)
            except Exception as error:  # noqa: BLE001 - the root of a unit of work: logged, and begun again
                attempt += 1
                log().error("the watch without a database broke: beginning again, report this", exc_info=error)
                await asyncio.sleep(backoff(attempt))

    async def _watch_blindly(self, turn: Turn) -> None:
        """Hear the devices themselves, and tell of levels that nobody knows of yet."""
        topics = [wire.DEVICE_READINGS, TELLING]
        link = Link(self._settings.mqtt(), f"kawamori-alerts-{uuid4().hex[:12]}", topics)
        pace = Pace(self._steady)
        async with asyncio.TaskGroup() as group:
            group.create_task(link.stay_connected(), name="blind-link")
            group.create_task(self._say_telling(link, turn, pace, group), name="say-telling")
            while True:
                messages = await link.receive(500)
                link.acknowledge(messages)
                for message in messages:
                    for told in self.hear(message, turn):
                        if turn.tells() and pace.take(told):
                            group.create_task(self._tell([told]), name="blind-tell")

    async def _say_telling(self, link: Link, turn: Turn, pace: Pace, group: asyncio.TaskGroup) -> None:
        """Say to other engines that this one tells, and tell together what came too thick."""
        while True:
            if turn.tells():
                try:
                    link.publish(TELLING, self._name.encode())
                except BrokerUnavailable:
                    log().debug("no engine hears that this one tells")
                if rest := pace.rest():
                    group.create_task(self._tell(rest), name="blind-tell")
            await asyncio.sleep(_SAY_S)

    def hear(self, message: Message, turn: Turn) -> list[AlertEvent]:
        """What a message says that nobody knows yet; one that breaks this costs itself alone."""
        if message.topic == TELLING:
            turn.hear(message.payload[:64].decode("ascii", "replace"))
            return []
        try:
            device = wire.decode_device_message(message.topic, message.payload)
            readings = wire.decode_readings(device.readings)
        except UndecodableMessage:
            return []  # the gateway keeps it for quarantine
        except Exception as error:  # noqa: BLE001 - the root of a unit of work: one message
            log().error("a message could not be read off the broker: report this", exc_info=error)
            return []
        found = []
        for reading in readings:
            try:
                told = self._judged(device.device, reading)
            except Exception as error:  # noqa: BLE001 - the root of a unit of work: one reading
                log().error("a reading could not be judged: report this", device=device.device, exc_info=error)
                continue
            if told is not None:
                found.append(told)
        return found

    def _judged(self, device: str, reading: wire.DeviceReading) -> AlertEvent | None:
        """What people do not know yet: a level higher than they were told of."""
        now = self._clock()
        found = blind_reading(self._validator, device, reading, now)
        if found is None:
            return None
        sensor, metres, at = found
        if now - at > self._settings.alerts.page_within + sensor.usual_delay or sensor.is_retired(at):
            return None
        registry = self._validator.registry
        thresholds = registry.thresholds_at(sensor.station, at)
        level = flood_level(metres, thresholds)
        if level <= self._known.get(sensor.station, 0):
            return None
        self._known[sensor.station] = level
        threshold = next(t for t in thresholds if t.level == level)
        return AlertEvent(
            event="raised", alert=_blind_alert(sensor.id, threshold, at, metres, self._settings.site.status),
            station=registry.stations[sensor.station],
        )  # fmt: skip

    async def _tell(self, found: Sequence[AlertEvent]) -> None:
        worst = max(found, key=lambda told: told.alert.level)
        names = self._names or self._engine.names
        lines = [first_line(told, names) for told in sorted(found, key=lambda told: -told.alert.level)]
        subject = lines[0] if len(lines) == 1 else f"{lines[0][:50]} ほか{len(lines) - 1}件"
        await self._say(
            subject,
            "\n".join(lines)
            + "\nデータベース停止中：センサーから直接読み取った値で、記録も品質の確認もされていません。\n\n"
            "No database: read straight from the sensor, neither recorded nor checked.",
            f"blind-{worst.alert.station}-{worst.alert.level}-{worst.alert.started_at:%Y%m%d%H%M%S}",
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
