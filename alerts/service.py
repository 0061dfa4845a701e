"""The alert service: follow the feed, look at the clock, deliver the outbox, and shout when any of it stops."""

import asyncio
import contextlib
import time
from uuid import uuid4

from prometheus_client import Gauge

from alerts.channels.choice import make_channels
from alerts.delivery import Delivery
from alerts.engine import Engine
from alerts.fallback import FallbackAlerting
from alerts.retained import RetainedState
from alerts.selftest import SelfTest
from kawamori.errors import StorageUnavailable
from kawamori.observe import Health, health_app, serve
from kawamori.runtime import forever, now, sleep_or_stop, stopping
from kawamori.settings import Settings
from kawamori.storage.database import Database
from kawamori.storage.system import say_started

LAG = Gauge("kawamori_alerts_lag_seconds", "Age of the newest evaluated batch when it was evaluated")
LEADS = Gauge("kawamori_alerts_leads", "Whether this engine holds the lease")

#: Changes are gathered for so long, from the beginning of one visit to the feed to that of the next; the first change
#: after a pause is evaluated at once. A visit costs milliseconds whatever it finds.
_GATHER_S = 0.1
#: The feed is visited so often without a notification: what one transaction held back comes without one.
_LOOK_S = 0.5
#: How often to look at the clock: silences end, messages wait, nobody answers.
_TICK_S = 1.0


class Service:
    """What runs in one process, and how it wakes each other."""

    def __init__(self, database: Database, settings: Settings, stop: asyncio.Event, holder: str) -> None:
        self._database, self._settings, self._stop = database, settings, stop
        channels = make_channels(settings.alerts)
        self.engine = Engine(database, settings, holder=holder)
        clock = self.engine.clock  # the database's time: the host's may be set
        self.fallback = FallbackAlerting(settings, channels, database, self.engine, clock)
        self.self_test = SelfTest(database, settings, channels, self.engine, clock)
        self._delivery = Delivery(
            database, channels, settings.alerts, clock, knows=lambda: (self.engine.registry, self.engine.names)
        )
        self._retained = RetainedState(database, settings, lambda: self.engine.leads, clock)
        self._channels = [channel.name for channel in channels]
        #: Something is to be evaluated.
        self._changed = asyncio.Event()
        self._trouble: str | None = None

    def trouble(self) -> str | None:
        """Why alerts cannot be judged now."""
        return self.fallback.trouble() or self._trouble

    async def _listen(self) -> None:
        async for channel in self._database.notifications("kawamori_batch", "kawamori_alert"):
            self._changed.set()
            if channel == "kawamori_alert":
                self._delivery.wake()

    async def _follow(self) -> None:
        self._changed.clear()  # before the visit: what comes during it is seen by the next
        begun = time.monotonic()
        try:
            moved = await self.engine.advance()
        except StorageUnavailable as error:
            self._trouble = str(error)
            raise
        self._trouble = None
        if self.engine.has_told:
            self._delivery.wake()
        if moved and self.engine.followed_until is not None:
            LAG.set((now() - self.engine.followed_until).total_seconds())
        if self.engine.is_behind:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await self._changed.wait()
        await sleep_or_stop(begun + _GATHER_S - time.monotonic(), self._stop)

    async def _tick(self) -> None:
        await self.engine.tick()
        LEADS.set(self.engine.leads)
        await sleep_or_stop(_TICK_S, self._stop)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Start every task of the service."""
        stop = self._stop
        group.create_task(forever(self._listen, stop, StorageUnavailable, "not listening"), name="listen")
        group.create_task(forever(self._follow, stop, StorageUnavailable, "database away"), name="follow")
        group.create_task(forever(self._tick, stop, StorageUnavailable, "database away"), name="tick")
        for name in self._channels:
            group.create_task(self._delivery.run_channel(name, stop), name=f"deliver-{name}")
        group.create_task(self._delivery.run_lookout(stop), name="lookout")
        group.create_task(self._delivery.run_second_channels(stop), name="second-channels")
        group.create_task(self.fallback.run(stop), name="fallback")
        if self._settings.mqtt_url is not None:
            group.create_task(
                forever(self._retained.run, stop, StorageUnavailable, "retained state away"), name="retained-state"
            )
        if self._settings.self_test_every():
            group.create_task(self.self_test.run(stop), name="self-test")


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Evaluate and notify until stopped."""
    # a frozen engine keeps the lease's row locked no longer than this, so that another takes over in time
    idle = settings.alerts.lease * 0.6
    holder = f"alerts-{uuid4().hex[:12]}"
    async with Database(settings.database(), holder, size=10, idle=idle) as database:
        await say_started(database, "alerts")
        service = Service(database, settings, stop, holder)
        health = Health()
        health.check("database", service.trouble)
        health.warn("self-test", lambda: service.self_test.trouble)
        async with stopping(stop) as group:
            service.start(group)
            if settings.alerts.health_port:
                group.create_task(
                    serve(health_app(health), "127.0.0.1", settings.alerts.health_port, stop), name="health"
                )
