"""A private Mosquitto."""

import contextlib
import socket
from collections.abc import Iterator

from kawamori.operate.servers.programs import mosquitto_program
from kawamori.operate.servers.server import Server, served

#: The limits are those of deploy/mosquitto/kawamori.conf, which says why.
BROKER_CONF = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 10
max_inflight_messages 5000
max_queued_messages 1000000
max_queued_bytes 536870912
max_packet_size 16777216
persistent_client_expiration 14d
set_tcp_nodelay true
log_dest file {folder}/mosquitto.log
log_type error
log_type warning
log_type notice
log_timestamp_format %Y-%m-%dT%H:%M:%S
"""


class BrokerServer(Server):
    """A private Mosquitto with the limits that the gateway and the ingest need."""

    kind = "broker"

    def __init__(self) -> None:
        self._program = mosquitto_program()
        super().__init__()
        self.log = self.folder / "mosquitto.log"

    @property
    def url(self) -> str:
        """The broker's address."""
        return f"mqtt://127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        conf = self.folder / "mosquitto.conf"
        conf.write_text(BROKER_CONF.format(port=self.port, folder=self.folder))
        conf.chmod(0o644)
        return [str(self._program), "-c", str(conf)]

    def _ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextlib.contextmanager
def private_broker() -> Iterator[BrokerServer]:
    """A running broker, removed afterwards."""
    with served(BrokerServer) as server:
        yield server
