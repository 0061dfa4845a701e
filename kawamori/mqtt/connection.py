"""One connection to the broker, from bytes to packets."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol, cast

from kawamori.mqtt.packets import (
    PUBACK,
    PUBLISH,
    Malformed,
    Message,
    packet_span,
    parse_control,
    parse_message,
    parse_puback,
)
from kawamori.observe import log

_TICK = timedelta(microseconds=1)
#: Bytes that wait to be written; with more the connection is congested.
_OUTBOX_BYTES = 16 * 1024 * 1024


class Owner(Protocol):
    """Takes what arrives on a connection."""

    def took(self, messages: list[Message], size: int) -> None:
        """Take messages, whose payloads are `size` bytes together."""

    def heard(self, packet: object, wire: "Connection") -> None:
        """Take any other packet, as the codec `mqtt5` gives it."""

    def confirmed(self, mid: int, code: int) -> None:
        """Take the broker's confirmation of a published message, with its reason code."""


class Connection(asyncio.Protocol):
    """One connection to the broker: cuts the bytes that arrive into packets and hands them to its owner."""

    def __init__(self, owner: Owner, number: int) -> None:
        self._owner = owner
        self._number = number
        self._transport: asyncio.Transport | None = None
        self._rest = bytearray()
        #: So many bytes the packet has that `_rest` begins with; 0 while that is not known.
        self._wanted = 0
        self.ended = asyncio.Event()
        self.heard_at = time.monotonic()
        self.paused = False
        self.why = "closed by the broker"
        #: An error that is ours, not the network's.
        self.fault: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Set `ended`, and say why; called by asyncio."""
        self._transport = None
        if exc is not None:
            self.why = str(exc)
            self.fault = None if isinstance(exc, OSError) else exc
        self.ended.set()

    def data_received(self, data: bytes) -> None:
        """Cut the bytes into packets. What came at once arrived a microsecond apart: of two statements one is newer.

        (MQTT 5.0, 2.1 and 3.3)
        """
        self.heard_at = time.monotonic()
        arrived = datetime.now(UTC)
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return  # of a large packet: nothing is copied or looked at until all of it is here
            data = bytes(self._rest)
            self._rest.clear()
        at, size, messages = 0, 0, []
        try:
            while (span := packet_span(data, at)) is not None:
                body, end = span
                if end > len(data):
                    self._wanted = end - at
                    break
                kind = data[at]
                if kind >> 4 == PUBLISH:
                    messages.append(parse_message(data, kind, body, end, arrived, self._number))
                    size += len(messages[-1].payload)
                    arrived += _TICK
                elif kind >> 4 == PUBACK:
                    self._owner.confirmed(*parse_puback(data, body, end))
                else:
                    self._owner.heard(parse_control(memoryview(data)[at:end]), self)
                at = end
            else:
                self._wanted = 0
        except Malformed as error:
            log().error("the broker sent what is no MQTT: connecting again", error=str(error))
            self.why = "malformed packet"
            self.abort()
        else:
            self._rest += data[at:]
        if messages:
            self._owner.took(messages, size)

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport, if there still is one."""
        if data and self._transport is not None:
            self._transport.write(data)

    @property
    def congested(self) -> bool:
        """Whether the broker has not taken what we wrote for a while."""
        return self._transport is None or self._transport.get_write_buffer_size() > _OUTBOX_BYTES

    def pause(self) -> None:
        """Stop reading the socket: what comes gathers in the kernel."""
        if self._transport is not None and not self.paused:
            self._transport.pause_reading()
            self.paused = True

    def resume(self) -> None:
        """Read the socket again."""
        if self.paused:
            self.paused = False
            self.heard_at = time.monotonic()
            if self._transport is not None:
                self._transport.resume_reading()

    def close(self) -> None:
        """Close the connection once all that was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()
