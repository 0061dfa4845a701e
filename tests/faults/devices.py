"""Simulated devices that must not lose a reading: each repeats itself until it hears `stored`, and keeps a ledger.

Thousands of devices share a few MQTT connections (or have one each), all in one thread with an event loop of its own,
so that a test can break things meanwhile. They survive the broker's death as a device does: by connecting again.
"""

import asyncio
import contextlib
import json
import random
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlsplit

import mqtt5

Key = tuple[str, datetime]
#: Who sent it, and the bytes.
Payload = tuple[str, bytes]
#: A reading that is never refused: device, time of measurement, level in metres.
Said = tuple[str, datetime, float]

_PREFIX = "kawamori/v1/device/"


@dataclass(slots=True)
class Ledger:
    """What was said, and what of it the devices were told is safe."""

    sent: dict[Key, float] = field(default_factory=dict)
    told: dict[Key, float] = field(default_factory=dict)
    #: Payloads (or slices of them) that belong in quarantine, and that the gateway answered for.
    bad_sent: set[Payload] = field(default_factory=set)
    bad_told: set[Payload] = field(default_factory=set)
    #: Undecodable bytes: nobody answers for these, only the broker's PUBACK comes back.
    garbage: set[Payload] = field(default_factory=set)
    repeats: int = 0


@dataclass(slots=True)
class _Message:
    device: str
    payload: bytes
    readings: tuple[Said, ...]
    bad: tuple[bytes, ...]
    due: float = 0.0
    wait: float = 0.0


class _Connection(asyncio.Protocol):
    """One connection to the broker, made again with jitter whenever it breaks."""

    def __init__(self, fleet: "Fleet", name: str, devices: list[str]) -> None:
        self._fleet, self._name, self._devices = fleet, name, devices
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._free: deque[int] = deque()
        self._in_flight: dict[int, int] = {}
        self._subscriptions = 0
        self.up = False
        self.lost = asyncio.Event()

    async def keep(self) -> None:
        """Connect, again and again."""
        chance = random.Random(self._name)
        loop = asyncio.get_running_loop()
        while True:
            self.lost.clear()
            with contextlib.suppress(OSError):
                await loop.create_connection(lambda: self, self._fleet.host, self._fleet.port, ssl=self._fleet.tls)
                await self.lost.wait()
            await asyncio.sleep(chance.uniform(*self._fleet.reconnect_after))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._rest, self._subscriptions = transport, b"", 0
        transport.write(mqtt5.ConnectPacket(self._name, clean_start=True, keep_alive=20).write())

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport, self.up = None, False
        for seq in self._in_flight.values():  # without a PUBACK: said again as soon as there is a connection
            self._fleet.hurry(seq)
        self._in_flight.clear()
        self.lost.set()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        view, at = memoryview(data), 0
        while at < len(data):
            try:
                packet, size = mqtt5.read(view[at:])
            except IndexError:
                break
            at += size
            self._take(packet)
        self._rest = data[at:]

    def _take(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.PublishPacket):
            self._fleet.hear(packet.payload)
        elif isinstance(packet, mqtt5.PubAckPacket):
            self._free.append(packet.packet_id)
            self._in_flight.pop(packet.packet_id, None)
        elif isinstance(packet, mqtt5.ConnAckPacket):
            self._free = deque(range(1, min(packet.receive_max, 1000) + 1))
            filters = [mqtt5.TopicFilter(f"{_PREFIX}{d}/stored", max_qos=mqtt5.QoS.AT_MOST_ONCE) for d in self._devices]
            for i in range(0, len(filters), 500):
                self._subscriptions += 1
                self._write(mqtt5.SubscribePacket(60_000 + i // 500, filters[i : i + 500]))
        elif isinstance(packet, mqtt5.SubAckPacket):
            self._subscriptions -= 1
            self.up = self._subscriptions <= 0

    def _write(self, packet: Any) -> None:
        if self._transport is not None:
            self._transport.write(packet.write())

    def ping(self) -> None:
        """Keep the connection from being taken for dead."""
        self._write(mqtt5.PingReqPacket())

    def publish(self, topic: str, payload: bytes, seq: int) -> bool:
        """Say it with QoS 1; False when the connection cannot take it now."""
        if not self.up or not self._free or self._transport is None:
            return False
        number = self._free.popleft()
        self._in_flight[number] = seq
        packet = mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=number)
        self._transport.write(packet.write())
        return True


class Fleet:
    """Devices that talk. Start it, break things, `finish` it, and hold the ledger against the tables.

    Without `says`, every device reports a wandering level in turn, measured now, `rate` readings a second in all.
    `window` is how many messages may be without their `stored`; then the devices wait. One in `bad_every` messages
    is one that must end in quarantine. `probe` is a device that reports every 0.2 s whatever else goes on.
    """

    def __init__(
        self, broker_url: str, devices: list[str], *, seed: int, rate: float = 1000, window: int = 4000,
        connections: int = 4, bad_every: int = 0, repeat_after: float = 3.0, says: Iterable[Said] | None = None,
        probe: str | None = None, tls: ssl.SSLContext | None = None, reconnect_after: tuple[float, float] = (0.1, 0.8),
    ) -> None:  # fmt: skip
        parts = urlsplit(broker_url)
        self.host, self.port, self.tls = str(parts.hostname), parts.port or 1883, tls
        self.reconnect_after = reconnect_after
        self.devices, self.rate, self.window = devices, rate, window
        self.ledger = Ledger()
        self._chance = random.Random(seed)
        self._bad_every, self._repeat_after, self._probe = bad_every, repeat_after, probe
        self._says = iter(says) if says is not None else self._wander()
        self._spare: deque[tuple[str, bytes, tuple[Said, ...], tuple[bytes, ...]]] = deque()
        self._outstanding: dict[int, _Message] = {}
        self._seq = 0
        names = [*devices, *([probe] if probe else [])]
        connections = min(connections, len(names))
        #: Which devices share a connection.
        self.shares = [names[i::connections] for i in range(connections)]
        self._of: dict[str, _Connection] = {}
        self.connections: list[_Connection] = []
        self._talking, self._finishing = True, False
        #: The source of what to say is exhausted.
        self.all_said = False
        self.error: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="devices")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        if self.error is not None:
            raise self.error

    # What a test calls, from its own thread.

    @property
    def waiting(self) -> int:
        """Messages without their `stored`."""
        return len(self._outstanding)

    @property
    def up(self) -> int:
        """How many connections the broker has accepted, with their subscriptions."""
        return sum(c.up for c in self.connections)

    def pause(self) -> None:
        """Say nothing new; what was said is repeated until it is heard."""
        self._talking = False

    def resume(self) -> None:
        """Go on talking."""
        self._talking = True

    def say(self, device: str, *readings: tuple[datetime, float], bad: Iterable[dict[str, Any]] = ()) -> None:
        """One message out of turn: good readings, and readings (as objects) that must end in quarantine."""
        wrong = tuple(json.dumps(b).encode() for b in bad)
        good = tuple((device, at, value) for at, value in readings)
        parts = [_encoded(at, value) for at, value in readings] + [w.decode().replace("%", "%%") for w in wrong]
        body = f'{{"readings":[{",".join(parts)}],"seq":%d}}'.encode()
        self._loop.call_soon_threadsafe(self._queue, device, body, good, wrong)

    def say_garbage(self, device: str, payload: bytes) -> None:
        """Bytes that no gateway can decode; nobody answers for them."""
        self.ledger.garbage.add((device, payload))
        self._loop.call_soon_threadsafe(self._queue, device, payload, (), ())

    def finish(self, within: float) -> Ledger:
        """Say nothing new, wait until everything said was heard, and return the ledger."""
        self._talking, self._finishing = False, True
        deadline = time.monotonic() + within
        while self._outstanding or self._spare:
            if time.monotonic() > deadline or self.error is not None:
                message = f"{len(self._outstanding)} messages without `stored` after {within:g} s; {self.error}"
                raise AssertionError(message)
            time.sleep(0.02)
        return self.ledger

    # What runs in the devices' own thread.

    def _run(self) -> None:
        try:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self._live())
        except BaseException as error:  # noqa: BLE001 - raised again where the fleet is left
            self.error = error
        finally:
            self._loop.close()

    async def _live(self) -> None:
        self._stop = asyncio.Event()
        run = self._chance.randbytes(4).hex()
        for i, share in enumerate(self.shares):
            connection = _Connection(self, f"devices-{run}-{i}", share)
            self.connections.append(connection)
            self._of.update(dict.fromkeys(share, connection))
        tasks = [asyncio.create_task(c.keep()) for c in self.connections]
        tasks += [asyncio.create_task(work()) for work in (self._talk, self._repeat, self._pulse)]
        stopping = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in self.connections:
            if connection._transport is not None:
                connection._transport.abort()
        for task in done - {stopping}:
            task.result()

    def _wander(self) -> Iterator[Said]:
        levels = {d: self._chance.uniform(0.5, 3.0) for d in self.devices}
        while True:
            for device in self.devices:
                levels[device] = min(6.0, max(0.2, levels[device] + self._chance.uniform(-0.01, 0.01)))
                yield device, datetime.now(UTC), round(levels[device], 3)

    async def _talk(self) -> None:
        credit, before = 0.0, time.monotonic()
        while True:
            moment = time.monotonic()
            credit = min(credit + (moment - before) * self.rate, self.rate * 0.1 + 1)
            before = moment
            while self._spare and self._send_new(*self._spare[0]):
                self._spare.popleft()
            while credit >= 1 and self._talking and not self._spare and len(self._outstanding) < self.window:
                said = next(self._says, None)
                if said is None:
                    self.all_said = True
                    break
                credit -= 1
                self._compose(said)
            await asyncio.sleep(0.004)

    def _compose(self, said: Said) -> None:
        device, at, value = said
        bad: tuple[bytes, ...] = ()
        if self._bad_every and self._chance.randrange(self._bad_every) == 0:
            bad = (self._chance.choice(BAD)(at, value),)
            body = b'{"readings":[%s,%s],"seq":%%d}' % (_encoded(at, value).encode(), bad[0])
        else:
            body = _encoded(at, value)[:-1].encode() + b',"seq":%d}'
        if not self._send_new(device, body, (said,), bad):
            self._spare.append((device, body, (said,), bad))

    def _queue(self, device: str, body: bytes, readings: tuple[Said, ...], bad: tuple[bytes, ...]) -> None:
        self._spare.append((device, body, readings, bad))

    def _send_new(self, device: str, body: bytes, readings: tuple[Said, ...], bad: tuple[bytes, ...]) -> bool:
        if not readings and not bad:
            return self._of[device].publish(f"{_PREFIX}{device}/reading", body, 0)
        seq = self._seq + 1
        wait = self._repeat_after * self._chance.uniform(1, 1.3)
        message = _Message(device, body % seq, readings, bad, time.monotonic() + wait, wait)
        if not self._of[device].publish(f"{_PREFIX}{device}/reading", message.payload, seq):
            return False
        self._seq = seq
        self._outstanding[seq] = message
        for name, at, value in readings:
            self.ledger.sent[name, at] = value
        self.ledger.bad_sent.update((device, b) for b in bad)
        return True

    def hear(self, payload: bytes) -> None:
        """A `stored` arrived."""
        message = self._outstanding.pop(int(payload[7:-1]), None)
        if message is not None:
            for name, at, value in message.readings:
                self.ledger.told[name, at] = value
            self.ledger.bad_told.update((message.device, b) for b in message.bad)

    def hurry(self, seq: int) -> None:
        """The connection broke before the broker had this: repeat it at once."""
        message = self._outstanding.get(seq)
        if message is not None:
            message.due = 0.0

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            moment = time.monotonic()
            for seq, message in list(self._outstanding.items()):
                if message.due > moment:
                    continue
                topic = f"{_PREFIX}{message.device}/reading"
                if self._of[message.device].publish(topic, message.payload, seq):
                    message.wait = min(2 * message.wait, 30.0)  # or a busy gateway drowns in repeats
                    message.due = moment + message.wait
                    self.ledger.repeats += 1

    async def _pulse(self) -> None:
        beat = 0
        while True:
            beat += 1
            if beat % 25 == 0:
                for connection in self.connections:
                    connection.ping()
            if (
                self._probe
                and not self._finishing
                and not any(m.device == self._probe for m in list(self._outstanding.values())[-200:])
            ):
                at = datetime.now(UTC)
                said = (self._probe, at, round(1 + beat % 100 / 1000, 3))
                self._send_new(self._probe, _encoded(at, said[2])[:-1].encode() + b',"seq":%d}', (said,), ())
            await asyncio.sleep(0.2)


def _encoded(at: datetime, value: float) -> str:
    return f'{{"time":"{at.isoformat()}","quantity":"water_level","value":{value!r},"unit":"m"}}'


def _wrong(**change: Any) -> Callable[[datetime, float], bytes]:
    def make(at: datetime, value: float) -> bytes:
        reading = {"time": at.isoformat(), "quantity": "water_level", "value": value, "unit": "m", **change}
        if "time" in change:
            reading["time"] = at.replace(year=int(change["time"])).isoformat()
        return json.dumps(reading).encode()

    return make


#: What must end in quarantine, each for another reason. The last is refused by the gateway already.
BAD: list[Callable[[datetime, float], bytes]] = [
    _wrong(time="1970"), _wrong(time="2199"), _wrong(unit="furlong"), _wrong(value=-999), _wrong(quantity="moonlight"),
    _wrong(unit="kPa"), _wrong(value="NaN"),
]  # fmt: skip
