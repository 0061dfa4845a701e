"""What a private database and a private broker have in common: start, stop, kill, wait until ready."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeVar

from kawamori.operate.servers.programs import ServerFailed, server_user, start_program
from kawamori.operate.servers.run_folder import RunFolder, ended_by_signals

#: Below Linux's ephemeral range (32768…), so that no outgoing connection takes the port during a restart, and
#: above every standard one.
PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which no process listens now; raises ServerFailed when 100 are in use."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    message = "no free port on 127.0.0.1"
    raise ServerFailed(message)


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds; False when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class Server:
    """What a private database and a private broker have in common. Use from one thread at a time."""

    kind = "server"
    #: Asks the server to finish what it holds, and to end.
    gentle = signal.SIGTERM

    def __init__(self) -> None:
        self._user = server_user()
        self._folder = RunFolder(self.kind, self._user)
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = self._folder.path
        self.log = self.folder / f"{self.kind}.log"
        self.port = 0

    @property
    def pid(self) -> int:
        """The server's process id; raises ServerFailed while it does not run."""
        if self._process is None:
            message = f"the private {self.kind} is not running"
            raise ServerFailed(message)
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self, within: float = 30) -> Self:
        """Start, on the former port if there was one, and return when clients are welcome."""
        if self._process is not None and self._process.poll() is None:
            return self
        attempts = 1 if self.port else 5  # another process may take a free port before we do
        for attempt in range(attempts):
            if attempt or not self.port:
                self.port = free_port()
            self._process = start_program(self._command(), self._user, cwd=self.folder, log=self.log)
            if wait_for(lambda: not self.running or self._ready(), within) and self.running:
                return self
            self.kill()
        message = f"the private {self.kind} did not start within {within:g} s:\n{self._last_words()}"
        raise ServerFailed(message)

    def stop(self, within: float = 30) -> None:
        """Ask it to end in good order, and wait; one that does not obey is killed."""
        if self._process is None:
            return
        self._process.send_signal(self.gentle)
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill it and its children as a power cut would; what was not on disk is lost."""
        if self._process is None:
            return
        family = _children(self._process.pid)
        self._process.kill()
        for child in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._process.wait()
        self._process = None
        wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in family), 10)

    def restart(self) -> Self:
        """Stop and start again: same folder, same port, same data."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """End it at once and remove everything it wrote."""
        self.kill()
        self._folder.remove()

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _ready(self) -> bool:
        raise NotImplementedError

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])
        return ""


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


S = TypeVar("S", bound=Server)


@contextlib.contextmanager
def served(make: Callable[[], S]) -> Iterator[S]:
    """Start a server; end and remove it afterwards, also at SIGTERM and SIGINT."""
    with ended_by_signals():
        server = make()
        try:
            yield server.start()
        finally:
            server.close()
