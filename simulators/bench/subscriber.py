"""A subscriber that only acknowledges: the most that this broker can deliver at QoS 1 to one Python process.

`python -m simulators.bench.subscriber HOST PORT BOARD` counts on the board until it is ended.
"""

import sys
from pathlib import Path

import mqtt5

from kawamori.wire import DEVICE_READINGS
from simulators.load import Board, connect


def acknowledge_all(address: tuple[str, int], board: Board) -> None:
    """Acknowledge each message and count it, for ever."""
    link, _ = connect(address, "bench-subscriber", receive_max=2000)
    topic = mqtt5.TopicFilter(DEVICE_READINGS, max_qos=mqtt5.QoS.AT_LEAST_ONCE)
    link.sendall(mqtt5.SubscribePacket(1, [topic]).write())
    link.recv(1024)  # SUBACK; nobody publishes yet
    board["received"] = 0
    data = b""
    received = 0
    while chunk := link.recv(1 << 18):
        data += chunk
        view = memoryview(data)
        at = 0
        acks = []
        while at < len(data):
            # By hand, because only the packet's id matters: length (1 to 4 bytes), topic's length, topic, id.
            length = position = 0
            while (at + position + 1) < len(data):
                position += 1
                length |= (data[at + position] & 0x7F) << (7 * (position - 1))
                if data[at + position] < 0x80:
                    break
            start = at + position + 1
            if position == 0 or data[start - 1] >= 0x80 or start + length > len(data):
                break
            number = start + 2 + (data[start] << 8 | data[start + 1])
            acks.append(b"\x40\x02" + view[number : number + 2])
            at = start + length
        data = data[at:]
        received += len(acks)
        link.sendall(b"".join(acks))
        board["received"] = received


if __name__ == "__main__":
    acknowledge_all((sys.argv[1], int(sys.argv[2])), Board(Path(sys.argv[3])))
