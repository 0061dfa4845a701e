"""The alert service: follow the feed, look at the clock, deliver the outbox, and shout when any of it stops."""

import asyncio
import contextlib

from prometheus_client import Gauge

from alerts.blackout import Blackout
from alerts.channels import make_channels
from alerts.delivery import Delivery
from alerts.engine import Engine
from alerts.mirror import Mirror
from alerts.selftest import SelfTest
from kawamori.errors import StorageUnavailable
from kawamori.observe import Health, health_app, serve
from kawamori.runtime import forever, now, sleep_or_stop, stopping
from kawamori.settings import Settings
from kawamori.storage.database import Database

LAG = Gauge("kawamori_alerts_lag_seconds", "Age of the newest evaluated batch when it was evaluated")
LEADS = Gauge("kawamori_alerts_leads", "Whether this engine holds the lease")

#: How often to look at the clock: silences end, messages wait, nobody answers.
_TICK_S = 1.0


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Evaluate and notify until stopped."""
    channels = make_channels(settings.alerts)
    health = Health()
    trouble: dict[str, str] = {}
    health.check("database", lambda: trouble.get("database"))
    # a frozen engine keeps the lease's row locked no longer than this, so that another takes over in time
    async with Database(
        settings.database(), "alerts", size=4 + len(channels), idle=settings.alerts.lease * 0.6
    ) as database:
        engine = Engine(database, settings, now)
        delivery = Delivery(database, channels, settings.alerts, now)
        blackout = Blackout(settings, channels, database, engine, now)
        selftest = SelfTest(database, settings, channels, engine, now)
        mirror = Mirror(database, settings, lambda: engine.leads)
        changed, put = asyncio.Event(), asyncio.Event()

        async def listen() -> None:
            async for channel in database.notifications("kawamori_batch", "kawamori_alert"):
                changed.set()
                if channel == "kawamori_alert":
                    put.set()

        async def follow() -> None:
            try:
                moved = await engine.advance()
            except StorageUnavailable as error:
                trouble["database"] = str(error)
                raise
            trouble.pop("database", None)
            blackout.seen()
            if moved:
                put.set()
                if engine.followed_until is not None:
                    LAG.set((now() - engine.followed_until).total_seconds())
                return
            changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await changed.wait()

        async def tick() -> None:
            await engine.tick()
            LEADS.set(engine.leads)
            await sleep_or_stop(_TICK_S, stop)

        async with stopping(stop) as group:
            group.create_task(forever(listen, stop, StorageUnavailable, "not listening"), name="listen")
            group.create_task(forever(follow, stop, StorageUnavailable, "database away"), name="follow")
            group.create_task(forever(tick, stop, StorageUnavailable, "database away"), name="tick")
            for channel in channels:
                group.create_task(delivery.run_channel(channel.name, stop, put), name=f"deliver-{channel.name}")
            group.create_task(blackout.run(stop), name="blackout")
            if settings.mqtt_url is not None:
                group.create_task(forever(mirror.run, stop, StorageUnavailable, "mirror"), name="mirror")
                if settings.alerts.self_test_every:
                    group.create_task(selftest.run(stop), name="self-test")
            if settings.alerts.health_port:
                group.create_task(
                    serve(health_app(health), "127.0.0.1", settings.alerts.health_port, stop), name="health"
                )
