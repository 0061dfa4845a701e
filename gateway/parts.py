"""Device messages into the parts of journal rows, and the replies to devices."""

from datetime import datetime

from msgspec import Raw
from prometheus_client import Counter

from kawamori import wire
from kawamori.errors import UndecodableMessage
from kawamori.mqtt import Message
from kawamori.observe import log

UNDECODED = Counter("kawamori_gateway_undecoded_total", "Device messages that break the contract; they travel on")

#: Bytes in one row of the journal, as it is encoded; more only for a single message.
ROW_BYTES = 512 * 1024

Part = tuple[list[wire.UplinkReading], list[wire.UplinkUndecoded], list[wire.UplinkStatus]]


class Parts:
    """Messages that arrived together, cut into parts of a row's encoded size."""

    def __init__(self) -> None:
        self.parts: list[Part] = [([], [], [])]
        #: The `stored` replies (topic, payload) for those that want one.
        self.replies: list[tuple[str, bytes]] = []
        self._size = 0

    def add(self, message: Message) -> None:
        """Decode one message. Whatever it holds, it costs at most itself, and its bytes travel on."""
        topic, payload, at = message.topic, message.payload, message.received_at
        try:
            decoded = wire.decode_device_message(topic, payload)
        except UndecodableMessage as error:
            self._refuse(topic, payload, at, str(error))
            return
        except Exception as error:  # noqa: BLE001 - a message is a unit of work: the next one must not wait for it
            log().error("a message could not be decoded by a fault of ours: please report it", error=repr(error))
            self._refuse(topic, payload, at, "message: could not be decoded")
            return
        if decoded.readings:
            reading = wire.UplinkReading(decoded.device, at, Raw(decoded.readings))
            self._part_for(reading)[0].append(reading)
        for raw, why in decoded.refused:
            self._put_undecoded(wire.undecoded(topic, at, raw, why))
        if decoded.status is not None:
            status = wire.UplinkStatus(decoded.device, at, Raw(decoded.status))
            self._part_for(status)[2].append(status)
        if decoded.seq is not None:
            self.replies.append((wire.device_topic(decoded.device, "stored"), b'{"seq":%d}' % decoded.seq))

    def _refuse(self, topic: str, payload: bytes, at: datetime, why: str) -> None:
        UNDECODED.inc()
        self._put_undecoded(wire.undecoded(topic, at, payload[: wire.LARGEST_KEPT], why))

    def _put_undecoded(self, item: wire.UplinkUndecoded) -> None:
        self._part_for(item)[1].append(item)

    def _part_for(self, item: wire.UplinkReading | wire.UplinkUndecoded | wire.UplinkStatus) -> Part:
        """The part that has room for it."""
        size = wire.encoded_size(item)
        if self._size and self._size + size > ROW_BYTES:
            self.parts.append(([], [], []))
            self._size = 0
        self._size += size
        return self.parts[-1]


def parts_of(messages: list[Message]) -> Parts:
    """The parts of these messages, in one go."""
    found = Parts()
    for message in messages:
        found.add(message)
    return found
