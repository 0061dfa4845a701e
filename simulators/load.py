"""Load for the bench: a thousand simulated stations publish as fast as asked, from a process of its own.

Every PUBLISH packet is encoded before the first is sent, so that the generator costs the processor little while
others are measured. Levels are like a city's: mostly calm, a few stations rise through their thresholds, and one
reading in ten thousand is a spike. Each sensor's times ascend and end near now, so this is live data.

`python -m simulators.load SPEC.json` runs the generator; it and the bench meet on a `Board`.
"""

import json
import mmap
import os
import select
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import mqtt5
import numpy as np
from numpy.typing import NDArray

from kawamori.errors import BrokerUnavailable
from kawamori.wire import device_topic

#: The generator looks at its sockets this often; what one look sends goes out in one write.
_TICK_S = 0.002
_ONCE = 256
#: The calm water stands at 1.0 ± 0.25 m; rising stations begin at 1.6 to 2.0 m and go up by at most 4 m an hour.
THRESHOLDS_M = (2.0, 2.5, 3.0, 3.5, 4.0)
_SHARE_RISING = 0.05
_RISE_MM_S = 4000 / 3600
_SHARE_SPIKES = 1e-4


class Board:
    """A few counters in a file that several processes have in memory; each counter has one writer."""

    NAMES = ("ready", "go", "limit", "stop", "sent", "confirmed", "received", "end_ms")

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8 * len(self.NAMES)))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8 * len(self.NAMES))

    def __getitem__(self, name: str) -> int:
        return int(struct.unpack_from("<q", self._memory, 8 * self.NAMES.index(name))[0])

    def __setitem__(self, name: str, value: int) -> None:
        struct.pack_into("<q", self._memory, 8 * self.NAMES.index(name), value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent: `stations` × `steps` readings, one after the other round the stations."""

    stations: int = 1000
    steps: int
    #: Readings of one station in a message; above 1 a message is a gateway-batched uplink.
    together: int = 1
    #: Messages a second; as many as the board's limit and the broker allow when None.
    rate: float | None = None
    connections: int = 4
    seed: int = 20

    def __post_init__(self) -> None:
        if self.stations % self.connections or self.steps % self.together:
            raise ValueError("stations must divide by connections, and steps by readings in a message")

    @property
    def messages(self) -> int:
        """How many messages there are in all."""
        return self.stations * self.steps // self.together

    @property
    def step_ms(self) -> int:
        """Between two readings of a station: all steps lie within the last 25 minutes."""
        return min(1000, 1_500_000 // self.steps)


def device(station: int) -> str:
    """The device at a station; stations count from 0."""
    return f"bench-{station:04d}"


def levels(load: Load) -> NDArray[np.int64]:
    """Levels in mm, one row a station."""
    chance = np.random.default_rng(load.seed)
    column = (load.stations, 1)
    at = np.arange(load.steps) * load.step_ms / 1000
    swing = np.sin(2 * np.pi * (at / chance.uniform(3600, 14400, column) + chance.uniform(0, 1, column)))
    mm = 1000 + chance.uniform(50, 250, column) * swing + chance.normal(0, 3, (load.stations, load.steps))
    rising = chance.random(load.stations) < _SHARE_RISING
    start = chance.uniform(600, 1000, (int(rising.sum()), 1))
    mm[rising] += start + at * chance.uniform(0.3, 1.0, start.shape) * _RISE_MM_S
    mm[chance.random(mm.shape) < _SHARE_SPIKES] -= 450
    return np.rint(mm).astype(np.int64)


def moments(load: Load, end_ms: int) -> list[int]:
    """When each step is measured, in ms since 1970; the last at `end_ms`."""
    return [end_ms - (load.steps - 1 - step) * load.step_ms for step in range(load.steps)]


def rfc3339(ms: int) -> str:
    """A time as devices write it."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ms // 1000))}.{ms % 1000:03d}Z"


def packets(load: Load, end_ms: int) -> list[list[bytes]]:
    """Every PUBLISH packet, by connection. Message k is of station k mod stations, on connection k mod connections."""
    rows = levels(load)
    at = [f'{{"time":"{rfc3339(ms)}","quantity":"water_level","value":' for ms in moments(load, end_ms)]
    topics = [device_topic(device(station), "reading") for station in range(load.stations)]
    found: list[list[bytes]] = [[] for _ in range(load.connections)]
    for first in range(0, load.steps, load.together):
        columns = rows[:, first : first + load.together].tolist()
        for station, values in enumerate(columns):
            texts = [f'{at[first + i]}{mm / 1000:.3f},"unit":"m"}}' for i, mm in enumerate(values)]
            payload = texts[0] if load.together == 1 else f'{{"readings":[{",".join(texts)}]}}'
            lane = found[station % load.connections]
            packet = mqtt5.PublishPacket(
                topics[station], payload.encode(), qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=len(lane) % 65535 + 1
            )
            lane.append(packet.write())
    return found


def connect(address: tuple[str, int], client_id: str, receive_max: int = 65535) -> tuple[socket.socket, int]:
    """A connected, clean session and how many unconfirmed messages the broker lets us have."""
    link = socket.create_connection(address, timeout=10)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.sendall(mqtt5.ConnectPacket(client_id, clean_start=True, receive_max=receive_max).write())
    answer = b""
    while len(answer) < 2 or len(answer) < 2 + answer[1]:
        chunk = link.recv(1024)
        if not chunk:
            raise BrokerUnavailable("the broker closed the connection")
        answer += chunk
    packet, _ = mqtt5.read(memoryview(answer))
    if not isinstance(packet, mqtt5.ConnAckPacket) or packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
        raise BrokerUnavailable(f"the broker refused the connection: {packet}")
    return link, packet.receive_max


class _Lane:
    """One connection and its packets in order."""

    def __init__(self, address: tuple[str, int], number: int, queue: list[bytes]) -> None:
        self._link, most = connect(address, f"bench-load-{os.getpid()}-{number}")
        self._window = min(most, 65535)
        self._link.setblocking(False)
        self._queue = queue
        self._pending = b""
        self._rest = b""
        self.sent = 0
        self.confirmed = 0

    def advance(self, allowed: int) -> int:
        """Read what the broker confirmed, and send up to `allowed` in all; returns how many went now."""
        self._read()
        if self._pending and not self._write():
            return 0
        before = self.sent
        until = min(allowed, len(self._queue), self.confirmed + self._window, self.sent + _ONCE)
        if until > before:
            self._pending = b"".join(self._queue[before:until])
            self.sent = until
            self._write()
        return self.sent - before

    def _write(self) -> bool:
        try:
            gone = self._link.send(self._pending)
        except BlockingIOError:
            return False
        self._pending = self._pending[gone:]
        return not self._pending

    def _read(self) -> None:
        try:
            data = self._rest + self._link.recv(1 << 18)
        except BlockingIOError:
            return
        if not data:
            raise BrokerUnavailable("the broker closed the connection")
        whole = len(data) // 4
        # A PUBACK of plain success is 4 bytes, 40 02 and the packet's id; nothing else is expected here.
        if data[0 : whole * 4 : 4].count(0x40) != whole or data[1 : whole * 4 : 4].count(2) != whole:
            raise BrokerUnavailable("the broker answered something else than PUBACK: is there no subscriber?")
        self.confirmed += whole
        self._rest = data[whole * 4 :]

    def close(self) -> None:
        self._link.close()


def send(load: Load, address: tuple[str, int], board: Board, sent_at: Path | None = None) -> None:
    """Encode, wait for `go`, send until all is sent or `stop`, and wait for the broker's last PUBACK.

    Keeps the moment of each message's write in `sent_at` (numpy, seconds since 1970; 0 where it was not sent).
    """
    board["end_ms"] = int(time.time() * 1000)
    queues = packets(load, board["end_ms"])
    lanes = [_Lane(address, n, queue) for n, queue in enumerate(queues)]
    written = np.zeros(load.messages)
    board["ready"] = 1
    while not board["go"]:
        select.select([], [], [], 0.005)
    begun = time.monotonic()
    while True:
        stopped = board["stop"]
        limit = load.messages if load.rate is None else int((time.monotonic() - begun) * load.rate)
        limit = 0 if stopped else min(limit, board["limit"])
        for n, lane in enumerate(lanes):
            share = (limit - n + load.connections - 1) // load.connections
            now = time.time()
            if gone := lane.advance(share):
                first = (lane.sent - gone) * load.connections + n
                written[first : lane.sent * load.connections + n : load.connections] = now
        board["sent"] = sum(lane.sent for lane in lanes)
        board["confirmed"] = sum(lane.confirmed for lane in lanes)
        if (stopped or board["sent"] == load.messages) and board["confirmed"] == board["sent"]:
            break
        select.select([], [], [], _TICK_S)
    for lane in lanes:
        lane.close()
    if sent_at is not None:
        np.save(sent_at, written)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What the generator's process is told."""

    load: Load
    host: str
    port: int
    board: Path
    sent_at: Path | None = None

    def write(self, path: Path) -> None:
        """Keep it as JSON."""
        path.write_text(json.dumps(asdict(self), default=str))

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` kept."""
        found = json.loads(path.read_text())
        return cls(
            load=Load(**found["load"]), host=found["host"], port=found["port"], board=Path(found["board"]),
            sent_at=Path(found["sent_at"]) if found["sent_at"] else None,
        )  # fmt: skip


if __name__ == "__main__":
    spec = Spec.read(Path(sys.argv[1]))
    send(spec.load, (spec.host, spec.port), Board(spec.board), spec.sent_at)
