"""The alert service: follow the feed, and deliver the outbox."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import aiosmtplib
from prometheus_client import Counter, Gauge

from alerts.channels import Channel
from alerts.channels.log import LogChannel
from alerts.channels.smtp import SmtpChannel
from alerts.engine import Engine
from kawamori.errors import StorageUnavailable
from kawamori.observe import Health, health_app, log, serve
from kawamori.runtime import backoff, fail_point, forever, now, stopping
from kawamori.settings import Settings
from kawamori.storage import alerts as record
from kawamori.storage.database import Database

SENT = Counter("kawamori_alerts_notifications_total", "Delivery attempts", ["channel", "outcome"])
LAG = Gauge("kawamori_alerts_lag_seconds", "Age of the newest evaluated batch when it was evaluated")

#: The longest wait between attempts of one message.
_LONGEST_WAIT = timedelta(minutes=5)


async def deliver(database: Database, channel: Channel) -> int:
    """Send what is due by one channel; returns how many were tried. A failure waits, it never stops the others."""
    async with database.transaction() as connection:
        notifications = await record.claim_notifications(connection, channel.name)
        for notification in notifications:
            try:
                await channel.send(notification)
            except (OSError, aiosmtplib.SMTPException) as error:
                wait = backoff(notification.attempts + 1, cap=_LONGEST_WAIT)
                await record.not_delivered(connection, notification.id, f"{type(error).__name__}: {error}", wait)
                SENT.labels(channel.name, "failed").inc()
                log().warning("a notification could not be delivered: trying again", channel=channel.name,
                              error=str(error), attempt=notification.attempts + 1)  # fmt: skip
            else:
                fail_point("alerts.sent")
                await record.delivered(connection, notification.id)
                SENT.labels(channel.name, "delivered").inc()
    return len(notifications)


def _delivering(database: Database, channel: Channel) -> Callable[[], Awaitable[None]]:
    async def deliver_some() -> None:
        if not await deliver(database, channel):
            await asyncio.sleep(0.2)

    return deliver_some


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Evaluate and notify until stopped."""
    channels: list[Channel] = [LogChannel(settings.alerts.log)]
    if settings.alerts.smtp_host:
        channels.append(SmtpChannel(settings.alerts))
    health = Health()
    trouble: dict[str, str] = {}
    health.check("database", lambda: trouble.get("database"))
    async with Database(settings.database(), "alerts", size=2 + len(channels)) as database:
        engine = Engine(database, settings, now)
        woken = asyncio.Event()

        async def listen() -> None:
            async for _ in database.notifications("kawamori_batch"):
                woken.set()

        async def follow() -> None:
            try:
                moved = await engine.advance()
            except StorageUnavailable as error:
                trouble["database"] = str(error)
                raise
            trouble.pop("database", None)
            if moved and engine.followed_until is not None:
                LAG.set((now() - engine.followed_until).total_seconds())
            if not moved:
                woken.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await woken.wait()

        async with stopping(stop) as group:
            group.create_task(forever(listen, stop, StorageUnavailable, "not listening"), name="listen")
            group.create_task(forever(follow, stop, StorageUnavailable, "database away"), name="follow")
            for channel in channels:
                group.create_task(
                    forever(_delivering(database, channel), stop, StorageUnavailable, "outbox away"),
                    name=f"deliver-{channel.name}",
                )
            if settings.alerts.health_port:
                group.create_task(
                    serve(health_app(health), "127.0.0.1", settings.alerts.health_port, stop), name="health"
                )
