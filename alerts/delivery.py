"""Delivering the outbox: each channel by itself, again and again until somebody has taken the message."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from prometheus_client import Counter

from alerts.channels import Channel, Undelivered
from kawamori.domain.people import Person
from kawamori.errors import StorageUnavailable
from kawamori.observe import log
from kawamori.runtime import backoff, fail_point, forever
from kawamori.settings import AlertSettings
from kawamori.storage import outbox, people
from kawamori.storage.database import Database
from kawamori.storage.outbox import Draft, Notification

SENT = Counter("kawamori_alerts_notifications_total", "Delivery attempts", ["channel", "outcome"])

#: A claim holds longer than any attempt takes; then the message is anybody's: told twice rather than never.
CLAIM = timedelta(seconds=15)
#: An attempt takes no longer than this.
_ATTEMPT_S = 10.0
#: Messages under way at once in one channel.
_TOGETHER = 20
#: The longest wait between attempts of one message.
_LONGEST_WAIT = timedelta(minutes=5)
_LOOK_S = 1.0


class Delivery:
    """Sends what the outbox holds. Nothing is sent inside a transaction."""

    def __init__(
        self, database: Database, channels: Sequence[Channel], settings: AlertSettings, clock: Callable[[], datetime]
    ) -> None:
        self._database, self._settings, self._clock = database, settings, clock
        self._channels = {channel.name: channel for channel in channels}
        self._woken = {channel.name: asyncio.Event() for channel in channels}

    def wake(self) -> None:
        """Something may have been put into the outbox."""
        for event in self._woken.values():
            event.set()

    async def run_channel(self, name: str, stop: asyncio.Event) -> None:
        """Deliver one channel's messages until stopped."""

        async def some() -> None:
            self._woken[name].clear()
            if await self.deliver(name):
                return
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._woken[name].wait()
            except TimeoutError:
                pass

        await forever(some, stop, StorageUnavailable, "outbox away")

    async def deliver(self, name: str) -> int:
        """Send what is due by one channel; returns how many were tried."""
        async with self._database.transaction() as connection:
            claimed = await outbox.claim_notifications(connection, name, CLAIM, _TOGETHER)
        if claimed:
            fail_point("alerts.claimed")
            async with asyncio.TaskGroup() as group:
                for notification in claimed:
                    group.create_task(self._deliver_one(self._channels[name], notification))
        return len(claimed)

    async def _deliver_one(self, channel: Channel, notification: Notification) -> None:
        """One attempt, and its record. What goes wrong with one message never stops the others."""
        outcome, answer, wait = "failed", "", backoff(notification.attempts + 1, cap=_LONGEST_WAIT)
        try:
            async with asyncio.timeout(_ATTEMPT_S):
                answer = await channel.send(notification)
            outcome = "delivered"
            fail_point("alerts.sent")
        except Undelivered as error:
            answer = str(error)
            outcome = "refused" if error.permanent else "failed"
            wait = max(wait, error.retry_after.total_seconds() if error.retry_after else 0)
            wait = _LONGEST_WAIT.total_seconds() if error.permanent else wait
        except TimeoutError:
            answer = f"no answer within {_ATTEMPT_S:.0f} s"
        except Exception as error:  # noqa: BLE001 - recorded and logged; the message waits, the others go on
            answer = type(error).__name__
            log().error("a channel broke on a message: report this with the log", channel=channel.name, exc_info=error)
        SENT.labels(channel.name, outcome).inc()
        async with self._database.transaction() as connection:
            if outcome == "delivered":
                await outbox.delivered(connection, notification.id, answer)
            else:
                give_up = self._clock() - notification.created_at > self._settings.give_up_after
                await outbox.not_delivered(connection, notification, outcome, answer, wait, give_up=give_up)
        if outcome == "delivered":
            fail_point("alerts.recorded")
        else:
            log().warning("a notification could not be delivered: trying again", channel=channel.name, why=answer,
                          attempt=notification.attempts + 1)  # fmt: skip

    async def run_second_channels(self, stop: asyncio.Event) -> None:
        """Try another channel for what does not get through, until stopped."""

        async def some() -> None:
            if await self.second_channels():
                self.wake()
            await asyncio.sleep(_LOOK_S)

        await forever(some, stop, StorageUnavailable, "outbox away")

    async def second_channels(self) -> int:
        """Put what is stuck into the outbox for each contact's next address; returns how many."""
        drafts: list[Draft] = []
        async with self._database.transaction() as connection:
            stuck = await outbox.messages_stuck(connection, self._settings.second_channel_after)
            if not stuck:
                return 0
            contacts = await people.contacts(connection)
            for one in stuck:
                person = contacts.get(one.contact_id or "")
                address = next_address(person, one.channel, one.recipient) if isinstance(person, Person) else None
                if address is None:
                    continue
                drafts.append(
                    Draft(
                        alert_id=one.alert_id, incident_id=one.incident_id, contact_id=one.contact_id,
                        channel=address[0], recipient=address[1], event=one.event,
                        key=f"{one.idempotency_key}-{address[0]}", subject=one.subject, body=one.body,
                        payload=one.payload, instead_of=one.instead_of or one.id,
                    )
                )  # fmt: skip
            await outbox.put_notifications(connection, drafts)
        return len(drafts)


def next_address(person: Person, channel: str, recipient: str) -> tuple[str, str] | None:
    """The address after that one in a person's order of preference. Pure."""
    for before, after in pairwise(person.addresses):
        if (before.channel, before.address) == (channel, recipient):
            return after.channel, after.address
    return None


async def send_directly(
    channels: Sequence[Channel], watchers: Sequence[str], subject: str, body: str, key: str
) -> None:
    """Send to every watcher (`channel:address`) without the outbox: for when there is no database to hold one."""
    by_name = {channel.name: channel for channel in channels}

    async def send(watcher: str) -> None:
        name, _, address = watcher.partition(":")
        channel = by_name.get(name)
        if channel is None:
            log().error("a watcher's channel is not known", channel=name)
            return
        message = Notification(
            id=0, alert_id=None, incident_id=None, contact_id=None, channel=name, recipient=address, event="impaired",
            idempotency_key=key, subject=subject, body=f"{subject}\n\n{body}", payload={}, created_at=datetime.now(UTC),
            attempts=0,
        )  # fmt: skip
        for attempt in range(1, 8):
            try:
                async with asyncio.timeout(_ATTEMPT_S):
                    await channel.send(message)
            except (Undelivered, TimeoutError) as error:
                log().warning("a watcher could not be told", channel=name, why=str(error), attempt=attempt)
                await asyncio.sleep(backoff(attempt + 3))
            else:
                return

    async with asyncio.TaskGroup() as group:
        for watcher in watchers:
            group.create_task(send(watcher), name="send-directly")
