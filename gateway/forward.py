"""Forward the journal's rows until ingest has committed them; where there is a backlog, the newest readings first."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from prometheus_client import Counter

from gateway.journal import Journal
from gateway.newest import Newest, batches_of, keep_newest, live_ones
from kawamori import wire
from kawamori.errors import StorageUnavailable, UndecodableMessage
from kawamori.mqtt import TOO_LARGE, Link
from kawamori.observe import log
from kawamori.runtime import now
from kawamori.settings import GatewaySettings

RESENT = Counter("kawamori_gateway_resent_total", "Batches sent again")

#: Small rows of a backlog travel together, up to about so many bytes.
_UPLINK_BYTES = 64 * 1024
#: What a packet holds beside its payload: topic, properties, lengths, and the time of sending.
_OVERHEAD = 512
#: What is kept in memory of the newest rows, so that they need not be read back to be forwarded.
_FRESH_BYTES = 8 * 1024 * 1024
#: Readings out of turn in one batch.
_TOGETHER = 1000
#: After so long without any acknowledgement only the newest readings are sent, until ingest answers.
_STALLED = 5.0
#: When it answers again, the history waits until the newest of every sensor is acknowledged, but no longer than this:
#: what of them is not acknowledged by then goes on being sent again beside it.
_HOLD = 15.0
#: Looking for them, read so much of the journal at once, and stop after so many pieces with nothing new.
_LOOK_BACK_BYTES = 2 * 1024 * 1024
_QUIET_PIECES = 5
#: While rows wait for longer than this, what has just been measured overtakes them, so often.
_LIVE_FIRST_EVERY = 5.0
#: Seconds that an acknowledgement should take at most; more, and less is sent at once.
_ACK_WITHIN = 0.5
#: What nobody acknowledges is sent again after so many seconds at the latest.
_RESENT_WITHIN = 8.0
#: Once so many that were sent later are acknowledged, this one was lost: its worker froze, say. (As RFC 6675 has it.)
_PASSED = 3
#: So often lost, the rows of a span are sent one by one, so that one of them does not hold up the others.
_ONE_BY_ONE = 6
#: So often lost over so many seconds while others arrived, a row is not deliverable. A frozen worker is gone sooner.
_GIVEN_UP, _GIVEN_UP_AFTER = 12, 60.0
#: A row that was sent within so many seconds before the connection ended, so often, may be why: it is sent rarely then,
#: up to so many seconds apart, and the others get through in between.
_SOON, _SUSPECT, _SUSPECT_WAIT = 2.0, 3, 15.0
#: What was lost for sure need not wait longer than this.
_LOST_WAIT = 1.5
#: One acknowledgement that took long (a lock, a restart) says little of the next.
_LONGEST_SAMPLE = 2.0
#: The loop is left to others after so many seconds of decoding.
_TURN = 0.02

OnDisk = Callable[..., Awaitable[Any]]


@dataclass(slots=True)
class _Sent:
    """A span of rows on its way, known by its last one."""

    first: int
    #: When it was sent first, and last.
    began: float
    at: float
    size: int
    attempts: int = 1
    #: How many that were sent later are acknowledged, since it was last sent.
    passed: int = 0
    #: The same since the last loss was counted, and how often it was lost while others arrived.
    overtaken: int = 0
    losses: int = 0
    #: Nothing was acknowledged for long, and now something is: it was sent to nobody.
    stale: bool = False
    #: With how many connections it went.
    cuts: int = 0
    #: The broker's reason code, where it refuses it.
    refused: int | None = None

    @property
    def is_lost(self) -> bool:
        return self.stale or self.refused is not None or self.passed >= _PASSED


@dataclass(slots=True)
class _Urgent:
    """A batch of the newest readings on its way, out of turn."""

    payload: bytes
    newest: Newest
    began: float
    at: float
    attempts: int = 1


class Forwarder:
    """What is under way to ingest, and what goes next."""

    def __init__(self, journal: Journal, settings: GatewaySettings, uplink: Link, on_disk: OnDisk) -> None:
        self._journal = journal
        self._settings = settings
        self._uplink = uplink
        self._on_disk = on_disk
        self._topic = wire.batch_topic(settings.id)
        #: (seq, payload, when journalled) of the newest rows.
        self._fresh: deque[tuple[int, bytes, float]] = deque()
        self._fresh_bytes = 0
        self._sent: dict[int, _Sent] = {}
        self._last_sent = 0
        #: Spans that ingest has committed, for the journal to delete.
        self.acknowledged: list[tuple[int, int]] = []
        #: Rows that were set aside.
        self.aside = 0
        self._last_ack = time.monotonic()
        #: How long an acknowledgement usually takes, in seconds.
        self._usual_wait = _ACK_WITHIN
        self._connection = 0
        #: A packet of this size was too large, though the broker had not said so.
        self._too_large: int | None = None
        #: When, and up to which row, live readings were last looked for among those that wait.
        self._live_first_at = 0.0
        self._live_first_to = 0
        #: The newest reading of every series in the rows up to `_looked_to`, and what of it ingest has.
        self._newest: Newest = {}
        self._looked_to = 0
        self._seen: Newest = {}
        self._urgent: dict[int, _Urgent] = {}
        self._serial = random.randrange(1, 2**40)  # noqa: S311 - another process's are not ours
        #: Nothing but the newest is sent: until when, or None while ingest does not answer.
        self._holding = False
        self._hold_until: float | None = None
        #: While the history up to this row is not sent, the newest goes before it.
        self._behind_to = 0
        self._begun = False

    @property
    def limit(self) -> int:
        """The largest batch that the broker will carry, in bytes."""
        known = [size for size in (wire.LARGEST_BATCH, self._uplink.largest, self._too_large) if size]
        return max(1024, min(known) - _OVERHEAD)

    def keep_fresh(self, rows: list[tuple[int, bytes]]) -> None:
        """Remember the newest rows, within bounds."""
        moment = time.monotonic()
        self._fresh.extend((seq, payload, moment) for seq, payload in rows)
        self._fresh_bytes += sum(len(payload) for _, payload in rows)
        while self._fresh_bytes > _FRESH_BYTES:
            self._fresh_bytes -= len(self._fresh.popleft()[1])

    def heard(self, ack: wire.Ack) -> None:
        """Ingest has committed a batch."""
        if ack.epoch != self._journal.epoch:
            return
        moment = time.monotonic()
        if self._is_stalled(moment):
            for one in self._sent.values():
                one.stale = True
        self._last_ack = moment
        began = 0.0
        if ack.seq == 0:
            urgent = self._urgent.pop(ack.first, None)
            if urgent is not None:
                began = urgent.began
                self._seen |= urgent.newest
        else:
            sent = self._sent.get(ack.seq)
            if sent is None or (ack.first or ack.seq) != sent.first:
                return
            began = sent.began
            del self._sent[ack.seq]
            self.acknowledged.append((sent.first, ack.seq))
            if sent.attempts == 1:
                self._usual_wait += (min(_LONGEST_SAMPLE, moment - sent.at) - self._usual_wait) / 8
        for other in self._sent.values():
            other.passed += other.at < began
            other.overtaken += other.began < began

    def _is_stalled(self, moment: float) -> bool:
        """Whether nothing has been acknowledged for long, though something was to be."""
        began = [sent.began for sent in self._sent.values()] + [urgent.began for urgent in self._urgent.values()]
        return bool(began) and moment - max(self._last_ack, min(began)) > _STALLED

    async def forward_some(self) -> None:
        """Send what is due; raises BrokerUnavailable, or StorageUnavailable of the journal."""
        moment = time.monotonic()
        self._notice_reconnect(moment)
        if await self._hold(moment):
            self._send_urgent_again(moment)
            return
        self._send_urgent_again(moment)
        await self._send_again(moment)
        if moment - self._live_first_at > _LIVE_FIRST_EVERY:
            self._live_first_at = moment
            await self._send_live_first(moment)
        # So much under way that an acknowledgement takes half a second: what is live must not queue behind what is old.
        # But enough that some of it is with another worker, should one freeze.
        least = min(self._settings.window, _PASSED + 1)
        window = min(self._settings.window, max(least, round(self._settings.window * _ACK_WITHIN / self._usual_wait)))
        while self._under_way() < window and len(self._sent) < 4 * self._settings.window:
            rows = await self._next_rows()
            if not rows:
                break
            await self._send(rows)

    def _under_way(self) -> int:
        """How many spans may still be with a worker: those that were lost take no place from the others."""
        return sum(not sent.is_lost for sent in self._sent.values())

    def _notice_reconnect(self, moment: float) -> None:
        if self._uplink.connection == self._connection:
            return
        self._connection = self._uplink.connection
        for sent in self._sent.values():
            sent.cuts += moment - sent.at < _SOON

    # The newest first

    async def _hold(self, moment: float) -> bool:
        """Whether nothing but the newest is to be sent now: ingest does not answer, or has just begun to."""
        stalled = self._is_stalled(moment)
        if not self._begun or (stalled and not self._holding):
            self._begun = True
            if await self._on_disk(self._journal.waiting) <= self._settings.window:
                return False
            self._holding, self._hold_until = True, None
            await self._look(moment)
        if not self._holding:
            return False
        if stalled:
            self._hold_until = None
            if moment - self._live_first_at > self._settings.resend_after.total_seconds():
                await self._look(moment)
            return True
        if self._hold_until is None and (self._last_ack > self._live_first_at or not self._urgent):
            # It answers. What came since the last look is newer than what was sent then.
            self._hold_until = moment + _HOLD
            await self._look(moment)
        if self._urgent and moment < (self._hold_until or moment + 1):
            return True
        self._holding = False
        self._behind_to = self._looked_to
        return False

    async def _look(self, moment: float) -> None:
        """Find the newest reading of every series in rows that were not looked at, and send what ingest has not."""
        self._live_first_at = moment
        await self._look_back()
        fresh = {key: one for key, one in self._newest.items() if self._unseen(key, one)}
        for urgent in self._urgent.values():
            for key, one in urgent.newest.items():
                if fresh.get(key) is one:
                    del fresh[key]  # under way already
        self._send_out_of_turn(fresh, moment)

    def _unseen(self, key: tuple[str, str], one: tuple[Any, wire.UplinkReading]) -> bool:
        known = self._seen.get(key)
        return known is None or known[0] < one[0]

    async def _look_back(self) -> None:
        """Read the rows that came since, newest first; a long backlog only until it holds no further series."""
        seq, newest_row, quiet = 2**62, self._looked_to, 0
        begun = time.monotonic()
        while quiet < _QUIET_PIECES:
            rows = await self._on_disk(self._journal.before, seq, _LOOK_BACK_BYTES)
            quiet += 1
            for row, payload in rows:
                newest_row = max(newest_row, row)
                if row <= self._looked_to:
                    rows = []
                    break
                if keep_newest(self._newest, payload):
                    quiet = 0
                if time.monotonic() - begun > _TURN:
                    await asyncio.sleep(0)
                    begun = time.monotonic()
            if not rows:
                break
            seq = rows[-1][0]
        self._looked_to = newest_row

    async def _send_live_first(self, moment: float) -> None:
        """When rows have waited for long, let what has just been measured overtake them."""
        if self._last_sent < self._behind_to:
            await self._look(moment)
            return
        if not self._urgent:
            self._newest, self._seen = {}, {}
        rows = [row for row in self._fresh if row[0] > self._last_sent]
        if not rows or (rows[0][0] == self._last_sent + 1 and moment - rows[0][2] < _LIVE_FIRST_EVERY):
            return
        found = live_ones([payload for seq, payload, _ in rows if seq > self._live_first_to])
        self._live_first_to = rows[-1][0]
        self._send_out_of_turn(found, moment)

    def _send_out_of_turn(self, newest: Newest, moment: float) -> None:
        """They go again later, in their turn; ingest stores a reading once."""
        keys = {id(item): key for key, (_, item) in newest.items()}
        for readings in batches_of([item for _, item in newest.values()], self.limit, _TOGETHER):
            self._serial += 1
            payload = wire.encode(wire.Batch(self._journal.epoch, 0, first=self._serial, readings=readings))
            named = {key: newest[key] for key in (keys[id(item)] for item in readings)}
            self._urgent[self._serial] = _Urgent(payload, named, moment, moment)
            self._publish(payload)

    def _send_urgent_again(self, moment: float) -> None:
        least = self._settings.resend_after.total_seconds()
        for serial, urgent in list(self._urgent.items()):
            if moment - urgent.at <= least * random.uniform(0.8, 1.2):  # noqa: S311 - jitter
                continue
            if urgent.attempts > _GIVEN_UP and not self._holding:
                del self._urgent[serial]  # the row that it stands in is sent in its turn
                continue
            superseded = all(self._newest.get(key, one)[0] > one[0] for key, one in urgent.newest.items())
            if superseded:
                del self._urgent[serial]
                continue
            urgent.at = moment
            urgent.attempts += 1
            RESENT.inc()
            self._publish(urgent.payload)

    # The history

    async def _send(self, rows: list[tuple[int, bytes]]) -> None:
        """Send rows together for the first time; one that the broker will not carry is cut, or set aside."""
        payload = _together(rows)
        if payload is None or (len(payload) > self.limit and len(rows) > 1):
            for row in rows:
                await self._send([row])
            return
        moment = time.monotonic()
        self._last_sent = last = rows[-1][0]
        sent = self._sent[last] = _Sent(rows[0][0], moment, moment, len(payload))
        if len(payload) > self.limit:
            await self._cut(last, sent, self.limit, f"{len(payload)} bytes, more than the broker takes")
        else:
            self._publish(payload, sent)

    def _publish(self, payload: bytes, sent: _Sent | None = None) -> None:
        def refused(code: int) -> None:
            if sent is not None:
                sent.refused = code

        self._uplink.publish(self._topic, wire.stamped(payload, now()), refused)

    async def _cut(self, seq: int, sent: _Sent, most: int, why: str) -> None:
        """A row that cannot travel as it is goes on as several smaller ones; where it is one item, it is set aside."""
        try:
            if await self._on_disk(self._journal.split, seq, most):
                self._sent.pop(seq, None)
            else:
                await self._set_aside(seq, why)
        except StorageUnavailable as error:  # it stays where it is, and the others flow
            sent.at, sent.refused = time.monotonic(), TOO_LARGE
            log().error("a row that cannot be delivered cannot be set aside either", seq=seq, error=str(error))

    async def _set_aside(self, seq: int, why: str) -> None:
        await self._on_disk(self._journal.set_aside, seq, why)
        self._sent.pop(seq, None)
        self.aside += 1
        log().error(
            "a row that cannot be delivered is set aside, the others flow: see `kawamori journal`", seq=seq, reason=why
        )

    async def _send_again(self, moment: float) -> None:
        for last, sent in list(self._sent.items()):
            if self._sent.get(last) is not sent or not self._is_due(sent, moment):
                continue
            rows = await self._on_disk(self._journal.between, sent.first, last)
            if self._sent.get(last) is not sent:
                continue
            if not rows:
                del self._sent[last]  # acknowledged under another span
                continue
            await self._send_span_again(last, sent, rows, moment)

    async def _send_span_again(self, last: int, sent: _Sent, rows: list[tuple[int, bytes]], moment: float) -> None:
        if sent.overtaken >= _PASSED:
            sent.losses, sent.overtaken = sent.losses + 1, 0
        too_large = sent.refused == TOO_LARGE or sent.size > self.limit
        if sent.refused == TOO_LARGE:
            self._too_large = min(self._too_large or sent.size, sent.size)
        payload = _together(rows)
        if len(rows) > 1 and (too_large or payload is None or sent.losses >= _ONE_BY_ONE):
            self._take_apart(last, rows)
        elif too_large:
            await self._cut(
                last, sent, min(self.limit, sent.size // 2), f"{sent.size} bytes, more than the broker takes"
            )
        elif sent.losses >= _GIVEN_UP and moment - sent.began > _GIVEN_UP_AFTER:
            refused = f"refused by the broker with code 0x{sent.refused:02x}" if sent.refused else "never acknowledged"
            await self._set_aside(last, f"{refused} in {sent.attempts} attempts while others were")
        elif payload is not None:
            sent.at, sent.passed, sent.refused, sent.stale = moment, 0, None, False
            sent.attempts += 1
            RESENT.inc()
            self._publish(payload, sent)

    def _take_apart(self, last: int, rows: list[tuple[int, bytes]]) -> None:
        """From now on each row of the span is known, and sent, by itself."""
        whole = self._sent.pop(last)
        for seq, payload in rows:
            self._sent[seq] = _Sent(seq, whole.began, -_SUSPECT_WAIT, len(payload), 2, losses=whole.losses)

    def _is_due(self, sent: _Sent, moment: float) -> bool:
        """Whether it is time to send a span again."""
        least = self._settings.resend_after.total_seconds()
        if sent.cuts >= _SUSPECT:
            wait = min(_SUSPECT_WAIT, least * 2 ** min(sent.cuts - _SUSPECT + 1, 8))
        elif sent.refused is not None:
            wait = min(_RESENT_WITHIN, least * min(sent.attempts, 8))
        elif sent.is_lost:
            wait = min(least, _LOST_WAIT)
        else:
            # A slow ingest must not be sent the same again: that would make it slower (compare TCP's RTO, RFC 6298).
            # But not for ever: what a frozen worker was given waits for the next attempt, which another may get.
            patience = max(least, min(4 * self._usual_wait, _RESENT_WITHIN))
            wait = patience if sent.attempts == 1 else min(2 * patience, max(2 * least, _RESENT_WITHIN))
        return bool(moment - sent.at > wait * random.uniform(0.8, 1.2))  # noqa: S311 - jitter

    async def _next_rows(self) -> list[tuple[int, bytes]]:
        """The rows to send next, about a batch of them: from memory if they are fresh, else from the disk."""
        fresh, most = self._fresh, min(_UPLINK_BYTES, self.limit // 2)
        while fresh and fresh[0][0] <= self._last_sent:
            self._fresh_bytes -= len(fresh.popleft()[1])
        if not fresh or fresh[0][0] != self._last_sent + 1:
            found: list[tuple[int, bytes]] = await self._on_disk(self._journal.after, self._last_sent, most)
            return found
        rows, size, seq = [], 0, self._last_sent
        while fresh and size < most and fresh[0][0] == seq + 1:
            seq, payload, _ = fresh.popleft()
            rows.append((seq, payload))
            size += len(payload)
        self._fresh_bytes -= size
        return rows


def _together(rows: list[tuple[int, bytes]]) -> bytes | None:
    """Rows as one batch; None where one of them cannot be read, and each has to go by itself."""
    try:
        return wire.merged([payload for _, payload in rows])
    except UndecodableMessage:
        return None
