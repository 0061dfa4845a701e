"""Delivering the outbox: each channel by itself, again and again until somebody has taken the message."""

import asyncio
import time
from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from prometheus_client import Counter

from alerts.channels import Channel, Undelivered
from alerts.standing import Knows, hold_against
from kawamori.domain.people import Contact, Person
from kawamori.domain.registry import Registry
from kawamori.errors import StorageUnavailable
from kawamori.observe import log
from kawamori.runtime import backoff, fail_point, forever
from kawamori.settings import AlertSettings, Settings
from kawamori.storage import outbox, people
from kawamori.storage.database import Database
from kawamori.storage.outbox import Draft, Notification

SENT = Counter("kawamori_alerts_notifications_total", "Delivery attempts", ["channel", "outcome"])

#: A claim holds longer than any attempt takes; then the message is anybody's: told twice rather than never.
CLAIM = timedelta(seconds=15)
#: An attempt takes no longer than this.
PATIENCE = timedelta(seconds=10)
#: Messages under way at once in one channel, and to one recipient of it.
_TOGETHER, _EACH = 32, 8
#: The longest wait between attempts of one message: as we choose it, and where the other side asks for it.
_LONGEST_WAIT = timedelta(minutes=5)
_LONGEST_ASKED = timedelta(minutes=15)
#: When the service stops, what is under way gets so long to end, so that nobody is told twice by a restart.
_FAREWELL = timedelta(seconds=4)
_LOOK_S = 1.0
#: Attempts at one watcher: within about a minute.
_DIRECT_ATTEMPTS = 7


def wait_after(attempt: int, error: Undelivered | None) -> float:
    """Seconds until the next attempt: full jitter, what the other side asked for, the slow end after a refusal."""
    if error is not None and error.permanent:
        return _LONGEST_WAIT.total_seconds()
    asked = error.retry_after if error is not None and error.retry_after else timedelta(0)
    return max(backoff(attempt, cap=_LONGEST_WAIT), min(asked, _LONGEST_ASKED).total_seconds())


class Delivery:
    """Sends what the outbox holds. Nothing is sent inside a transaction."""

    def __init__(
        self, database: Database, channels: Sequence[Channel], settings: AlertSettings, clock: Callable[[], datetime],
        *, claim: timedelta = CLAIM, patience: timedelta = PATIENCE, knows: Knows = lambda: (Registry(version=0), {}),
    ) -> None:  # fmt: skip
        self._knows = knows
        self._database, self._settings, self._clock = database, settings, clock
        self._claim, self._patience = claim, patience
        self._channels = {channel.name: channel for channel in channels}
        self._woken = {channel.name: asyncio.Event() for channel in channels}
        self._look = asyncio.Event()

    def wake(self) -> None:
        """Something may have been put into the outbox."""
        self._look.set()

    async def run_lookout(self, stop: asyncio.Event) -> None:
        """Wake the channels that have something to send, until stopped: readings come by the hundred, messages not."""

        async def some() -> None:
            await self._look.wait()
            self._look.clear()
            async with self._database.transaction() as connection:
                due = await outbox.channels_due(connection)
            for name in due & self._woken.keys():
                self._woken[name].set()

        await forever(some, stop, StorageUnavailable, "outbox away")

    async def run_channel(self, name: str, stop: asyncio.Event) -> None:
        """Deliver one channel's messages until stopped. One that is slow holds up no other.

        It looks by itself every second, and at once when woken.
        """
        under_way: dict[asyncio.Task[None], str] = {}
        woken = self._woken[name]

        async def some() -> None:
            woken.clear()
            if await self._start(name, under_way):
                return
            try:
                async with asyncio.timeout(_LOOK_S):
                    await woken.wait()
            except TimeoutError:
                pass

        try:
            await forever(some, stop, StorageUnavailable, "outbox away")
        finally:
            if under_way:
                _, left = await asyncio.wait(under_way, timeout=_FAREWELL.total_seconds())
                for task in left:
                    task.cancel()

    async def _start(self, name: str, under_way: dict[asyncio.Task[None], str]) -> int:
        """Claim what there is room for, and begin to send it; returns how many were claimed."""
        for task in [task for task in under_way if task.done()]:
            del under_way[task]
            task.result()  # an error that is ours ends the service
        busy = [recipient for recipient, count in Tally(under_way.values()).items() if count >= _EACH]
        room = _TOGETHER - len(under_way)
        if room <= 0:
            return 0
        async with self._database.transaction() as connection:
            await outbox.one_at_a_time(connection)  # first: whoever waits for it must hold no message
            claimed = await outbox.claim_notifications(
                connection, name, self._claim, room, each=_EACH, busy=busy
            )  # fmt: skip
            ready = await hold_against(connection, claimed, self._knows)
        since = time.monotonic()
        if claimed:
            fail_point("alerts.claimed")
        for notification in ready:
            task = asyncio.create_task(
                self._deliver_one(self._channels[name], notification, since), name=f"{name}-{notification.id}"
            )
            under_way[task] = notification.recipient
            task.add_done_callback(lambda _: self._woken[name].set())
        return len(claimed)

    async def deliver(self, name: str) -> int:
        """Send what is due by one channel, and wait for it; returns how many were tried."""
        under_way: dict[asyncio.Task[None], str] = {}
        count = await self._start(name, under_way)
        await asyncio.gather(*under_way)
        return count

    async def _deliver_one(self, channel: Channel, notification: Notification, since: float) -> None:
        """One attempt, and its record. What goes wrong with one message never stops the others."""
        if time.monotonic() - since > self._claim.total_seconds():
            return  # we were frozen in between: it is somebody else's by now
        outcome, answer, error = await self._attempt(channel, notification)
        SENT.labels(channel.name, outcome).inc()
        if outcome != "delivered":
            log().warning("a notification could not be delivered: trying again", channel=channel.name, why=answer,
                          attempt=notification.attempts + 1)  # fmt: skip
        await self._record(notification, outcome, answer, wait_after(notification.attempts + 1, error))

    async def _attempt(
        self, channel: Channel, notification: Notification
    ) -> tuple[str, str, Undelivered | None]:  # fmt: skip
        """Send once; returns the outcome, what the other side said, and why it did not take the message."""
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                answer = await channel.send(notification)
        except Undelivered as error:
            return ("refused" if error.permanent else "failed"), str(error), error
        except TimeoutError:
            return "failed", f"no answer within {self._patience.total_seconds():g} s", None
        except Exception as error:  # noqa: BLE001 - recorded and logged; the message waits, the others go on
            log().error("a channel broke on a message: report this with the log", channel=channel.name, exc_info=error)
            return "failed", type(error).__name__, None
        fail_point("alerts.sent")
        return "delivered", answer, None

    async def _record(self, notification: Notification, outcome: str, answer: str, wait: float) -> None:
        """Write down what came of an attempt, as soon as the database takes it: else it would be told twice."""
        give_up = outcome != "delivered" and (
            self._clock() - notification.created_at > self._settings.give_up_after
        )  # fmt: skip
        if give_up:
            log().error("a notification is given up: nobody has taken it; tell them by other means",
                        notification=notification.id, channel=notification.channel, why=answer)  # fmt: skip

        async def write() -> None:
            async with self._database.transaction() as connection:
                if outcome == "delivered":
                    await outbox.delivered(connection, notification.id, answer)
                else:
                    await outbox.not_delivered(connection, notification, outcome, answer, wait, give_up=give_up)
            written.set()

        written = asyncio.Event()
        await forever(write, written, StorageUnavailable, "outbox away")
        fail_point("alerts.recorded")

    async def run_second_channels(self, stop: asyncio.Event) -> None:
        """Try another channel for what does not get through, until stopped."""

        async def some() -> None:
            await self.refuse_strays()
            if await self.second_channels():
                self.wake()
            await asyncio.sleep(_LOOK_S)

        await forever(some, stop, StorageUnavailable, "outbox away")

    async def refuse_strays(self) -> None:
        """Refuse what is to go by a channel that does not exist, so that another is tried."""
        async with self._database.transaction() as connection:
            for stray in await outbox.claim_strays(connection, list(self._channels), self._claim):
                log().error("a contact has an address of a channel that does not exist: mend it",
                            contact=stray.contact_id, channel=stray.channel)  # fmt: skip
                await outbox.not_delivered(
                    connection, stray, "refused", "there is no such channel", _LONGEST_WAIT.total_seconds(),
                    give_up=self._clock() - stray.created_at > self._settings.give_up_after,
                )  # fmt: skip

    async def second_channels(self) -> int:
        """Put what is stuck into the outbox for each contact's next address; returns how many."""
        async with self._database.transaction() as connection:
            next_ones = addresses_after(await people.contacts(connection))
            stuck = await outbox.messages_stuck(connection, self._settings.second_channel_after, list(next_ones))
            drafts = []
            for one in stuck:
                channel, address = next_ones[one.contact_id or "", one.channel, one.recipient]
                drafts.append(
                    Draft(
                        alert_id=one.alert_id, incident_id=one.incident_id, contact_id=one.contact_id,
                        channel=channel, recipient=address, event=one.event, key=f"{one.idempotency_key}-{channel}",
                        subject=one.subject, body=one.body, payload=one.payload, instead_of=one.instead_of or one.id,
                    )
                )  # fmt: skip
            await outbox.put_notifications(connection, drafts)
        return len(drafts)


def addresses_after(contacts: Mapping[str, Contact]) -> dict[tuple[str, str, str], tuple[str, str]]:
    """To each (contact, channel, address) of persons the (channel, address) that comes next in their order. Pure.

    An address named twice counts once, so that nothing goes round.
    """
    return {
        (person.id, before.channel, before.address): (after.channel, after.address)
        for person in contacts.values()
        if isinstance(person, Person)
        for before, after in pairwise(dict.fromkeys(person.addresses))
    }


def watchers(settings: Settings) -> list[str]:
    """Whom to tell without the database: those the settings name, else whoever gets the mails."""
    alerts = settings.alerts
    return alerts.watchers or [f"smtp:{address}" for address in alerts.mail_to if alerts.smtp_host]


async def send_directly(
    channels: Sequence[Channel], watchers: Sequence[str], subject: str, body: str, key: str
) -> None:
    """Send to every watcher (`channel:address`) without the outbox: for when there is no database to hold one."""
    by_name = {channel.name: channel for channel in channels}

    async def send(number: int, watcher: str) -> None:
        name, _, address = watcher.partition(":")
        channel = by_name.get(name)
        if channel is None:
            log().error("a watcher's channel is not known", channel=name)
            return
        message = Notification(
            id=0, alert_id=None, incident_id=None, contact_id=None, channel=name, recipient=address, event="impaired",
            idempotency_key=f"{key}-{number}", subject=subject, body=f"{subject}\n\n{body}", payload={},
            created_at=datetime.now(UTC), attempts=0,
        )  # fmt: skip
        for attempt in range(1, _DIRECT_ATTEMPTS + 1):
            try:
                async with asyncio.timeout(PATIENCE.total_seconds()):
                    await channel.send(message)
            except (Undelivered, TimeoutError) as error:
                log().warning("a watcher could not be told", channel=name, why=str(error), attempt=attempt)
                if isinstance(error, Undelivered) and error.permanent:
                    break
                await asyncio.sleep(backoff(attempt + 3))
            except Exception as error:  # noqa: BLE001 - logged; the other watchers are told
                log().error("a channel broke on a message: report this with the log", channel=name, exc_info=error)
                break
            else:
                return
        log().error("a watcher could not be told that alerting is impaired: tell them by other means", channel=name)

    async with asyncio.TaskGroup() as group:
        for number, watcher in enumerate(watchers):
            group.create_task(send(number, watcher), name="send-directly")
