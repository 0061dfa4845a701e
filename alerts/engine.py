"""From the change feed to the record of alerts and the outbox, one transaction at a time.

Alerts are what the readings say, in order of measurement, whatever order they came in. Two engines may run: the
lease's row is locked while one writes, and whoever finds its token changed forgets what it remembered. Time is the
database's, heard with the lease.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import accumulate
from uuid import uuid4

from alerts.equipment import Equipment
from alerts.evaluation import READINGS_TOGETHER, SELF_TEST, Evaluation
from alerts.notices import Seen, tell_notices
from alerts.notifier import Notifier
from alerts.paging import Event
from alerts.reconcile import late_news
from kawamori.domain.registry import Registry
from kawamori.domain.rules import DatedRule
from kawamori.errors import StorageRefused
from kawamori.observe import log
from kawamori.runtime import DatabaseClock, fail_point
from kawamori.settings import Settings
from kawamori.storage import alerts as record
from kawamori.storage import announcements, audit, evaluation
from kawamori.storage.changes import Change as Batch
from kawamori.storage.changes import changes_after, move_cursor
from kawamori.storage.database import Connection, Database
from kawamori.storage.lease import begin_visit, describe_alerting, take_lease
from kawamori.storage.registry import load_registry, registry_version, rules_of

__all__ = ["FOLLOWER", "SELF_TEST", "Engine"]

FOLLOWER = "alerts"
#: Batches evaluated in one transaction at most.
_TOGETHER = 200
#: A host's clock that differs by more than this from the database's is named: readings' ages are shown in seconds.
CLOCK_OFF_S = 5.0


class Engine:
    """Evaluates what changed, looks at the equipment, and puts what people are told into the outbox.

    `holder`: under which name it holds the lease. Where that is `alerts-…` and the name of the database's sessions too,
    another engine takes over as soon as these are gone; else once the lease has run out.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Callable[[], datetime] | None = None,
        holder: str | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._time = DatabaseClock()
        #: The database's time, unless somebody else's is given.
        self.clock = clock or self._time
        self._holder = holder or uuid4().hex
        self._token: int | None = None
        self._registry = Registry(version=0)
        self._rules: list[DatedRule] = []
        self._evaluation = Evaluation(settings, self.clock)
        self._notifier = Notifier(settings, self.clock)
        self._notices = Seen()
        self._equipment = Equipment(settings, self.clock)
        self._host_off = False
        #: When the newest batch that was evaluated had been committed.
        self.followed_until: datetime | None = None
        #: Whether the last visit left something that can be evaluated at once.
        self.is_behind = False
        #: Whether the last call of `advance` may have put messages into the outbox.
        self.has_told = False
        self._late_waits = False

    @property
    def leads(self) -> bool:
        """Whether this engine held the lease when it last looked."""
        return self._token is not None

    @property
    def registry(self) -> Registry:
        """What is registered, as this engine last knew it."""
        return self._registry

    @property
    def names(self) -> Mapping[int, tuple[str, str]]:
        """The levels' names, as this engine last knew them."""
        return self._notifier.names

    async def advance(self) -> bool:
        """Evaluate the next changes, and go on with what was put off; False when there is neither.

        Raises StorageUnavailable: then nothing happened.
        """
        self.is_behind = self.has_told = False
        try:
            moved = await self._advance(carefully=False)
        except StorageRefused as error:
            log().error("the database refuses an alert: judging sensor by sensor, so that one keeps back no other",
                        error=str(error))  # fmt: skip
            moved = await self._advance(carefully=True)
        if not self._late_waits:
            return moved
        if await self._advance_late():
            self.is_behind = moved = True
        return moved

    async def _advance(self, *, carefully: bool) -> bool:
        try:
            async with self._database.transaction() as connection:
                visit = await begin_visit(connection, self._holder, self._settings.alerts.lease, FOLLOWER)
                self._late_waits = visit is not None and visit.late_waits
                if not self._leads_by(None if visit is None else (visit.token, visit.at)) or visit is None:
                    return False
                found = await changes_after(connection, visit.cursor, _TOGETHER)
                changes = _bounded(found)
                if not changes:
                    return False
                await self._refresh_registry(connection)  # after the changes: it knows the sensors that they name
                fail_point("alerts.read")
                told = await self._evaluation.evaluate(connection, changes, carefully=carefully)
                if told:
                    fail_point("alerts.recorded_alerts")
                    await self._notifier.tell(connection, self._registry)
                fail_point("alerts.evaluated")
                await move_cursor(connection, FOLLOWER, changes[-1].cursor)
        except BaseException:
            self._evaluation.forget()  # it may have seen what was rolled back
            raise
        fail_point("alerts.committed")
        self.followed_until = changes[-1].committed_at
        self.has_told = told
        self.is_behind = len(found) == _TOGETHER or len(changes) < len(found)
        return True

    async def _advance_late(self) -> bool:
        """A slice of what was put off, in a transaction of its own."""
        try:
            async with self._database.transaction() as connection:
                if not await self._lead(connection):
                    return False
                await self._refresh_registry(connection)
                if not await self._evaluation.evaluate_late(connection):
                    return False
                await self._notifier.tell(connection, self._registry)
        except BaseException:
            self._evaluation.forget()
            raise
        self.has_told = True
        return True

    async def tick(self) -> None:
        """What time brings about: silent equipment, waiting messages, unanswered alerts. Every second or so."""
        if self._equipment.is_due():
            await self._look()
        async with self._database.transaction() as connection:
            if not await self._lead(connection):
                return
            await self._refresh_registry(connection)
            await self._tell_late(connection)
            await self._notifier.tell(connection, self._registry)
            fail_point("alerts.told")
            await self._notifier.escalate(connection, self._registry)
            await tell_notices(
                connection, self._settings, await self._notifier.roster(connection, self.clock()), self._notices
            )
            await describe_alerting(
                connection, has_listeners=await self._notifier.has_listeners(connection),
                self_test_every=self._settings.self_test_every(), clock_off_s=self._clock_off(),
                not_judged=self._not_judged(),
            )  # fmt: skip
        fail_point("alerts.ticked")

    async def _look(self) -> None:
        """Look at the equipment; whatever the database refuses of it keeps nobody from being told of the water."""
        try:
            async with self._database.transaction() as connection:
                if not await self._lead(connection):
                    return
                await self._refresh_registry(connection)
                await self._equipment.look(connection, self._registry, self._rules)
                self._evaluation.unfit = self._equipment.unfit
                fail_point("alerts.looked")
        except StorageRefused as error:
            log().error("the equipment could not be looked at: report this with the log", error=str(error))

    async def _tell_late(self, connection: Connection) -> None:
        """Tell of what lasts though its readings were old when they came, once nothing newer follows them."""
        now, within = self.clock(), self._settings.alerts.page_within
        for alert, observed_at, received_at in await record.unpaged_alerts(connection, now - within, now):
            sensor = None if alert.sensor is None else self._registry.sensors.get(alert.sensor)
            if sensor is None or sensor.id in self._evaluation.unfit:
                continue
            lag = self._equipment.lags.get(sensor.id)
            news = late_news(observed_at, received_at, lag, usual=sensor.usual_delay, now=now, within=within)
            if news is None:
                continue
            sure = alert.verified and "clock" not in news
            await record.mark_paged_late(connection, alert.id, now, verified=sure, detail=news)
            await audit.note(connection, subject_id=alert.id, alert=alert.id, event="raised", detail=news)
            await announcements.announce(connection, [(alert.id, Event.RAISED)], now)

    async def _lead(self, connection: Connection) -> bool:
        return self._leads_by(await take_lease(connection, self._holder, self._settings.alerts.lease))

    def _leads_by(self, lease: tuple[int, datetime] | None) -> bool:
        """Note the lease's token and the database's time; whether this engine leads."""
        token = None if lease is None else lease[0]
        if lease is not None:
            self._time.hear(lease[1])
        if token != self._token:
            self._evaluation.forget()  # another led in between
            self._equipment.forget()
        self._token = token
        return token is not None

    def _clock_off(self) -> float | None:
        """How far this host's clock is off the database's, where that is worth a word; logged once."""
        off = self._time.host_off_s
        is_off = off is not None and abs(off) > CLOCK_OFF_S
        if is_off != self._host_off:
            self._host_off = is_off
            if is_off:
                log().error("this machine's clock and the database's differ: set both by NTP; alerts are judged by the"
                            " database's", host_ahead_s=off)  # fmt: skip
            else:
                log().info("this machine's clock and the database's agree again")
        return round(off, 1) if is_off and off is not None else None

    def _not_judged(self) -> dict[str, str]:
        """What cannot be judged now, and why."""
        sensors = self._registry.sensors
        return self._equipment.problems | {
            f"station {sensors[id_].station}": why for id_, why in self._evaluation.problems.items() if id_ in sensors
        }

    async def _refresh_registry(self, connection: Connection) -> None:
        if await registry_version(connection) != self._registry.version:
            self._registry = await load_registry(self._database)
            self._rules = await rules_of(connection)
            self._notifier.names = await evaluation.level_names(connection)
            self._evaluation.learn(self._registry, self._rules)


def _bounded(changes: list[Batch]) -> list[Batch]:
    """The first of these batches, so many that one transaction can read all their readings."""
    sums = accumulate(change.readings for change in changes)
    return [
        change
        for n, (change, total) in enumerate(zip(changes, sums, strict=True))
        if n == 0 or total <= READINGS_TOGETHER
    ]
