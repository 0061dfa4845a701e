"""A database and a broker of our own, for the demo, the tests and the bench: private, on 127.0.0.1, gone afterwards.

Nothing here touches a server that was running before. Each lives in one folder, held by a lock of this process;
when this process ends in any way, the kernel ends the server too, and the next start sweeps the folder.
"""

from kawamori.operate.servers.broker import BrokerServer, private_broker
from kawamori.operate.servers.database import DatabaseServer, private_database
from kawamori.operate.servers.programs import ServerFailed, cache_folder, postgres_programs
from kawamori.operate.servers.run_folder import private_folder
from kawamori.operate.servers.server import free_port

__all__ = [
    "BrokerServer",
    "DatabaseServer",
    "ServerFailed",
    "cache_folder",
    "free_port",
    "postgres_programs",
    "private_broker",
    "private_database",
    "private_folder",
]
