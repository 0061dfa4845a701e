"""The folder of a run: private, locked while its owner lives, swept by the next run when the owner was killed."""

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from kawamori.errors import ConfigurationError
from kawamori.operate.servers.programs import reachable

#: The longest path of a Unix socket (`sun_path` less its final zero), and PostgreSQL's name in the folder.
SOCKET_PATH_LIMIT = 107
SOCKET_NAME = ".s.PGSQL.00000.lock"


class RunFolder:
    """A run's folder, owned by the servers' user and locked for as long as this process lives."""

    def __init__(self, kind: str, user: pwd.struct_passwd) -> None:
        base = _run_base(user)
        prefix = f"kawamori-{kind}-"
        _sweep(base, prefix, user)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
            self._lock = os.open(self.path / "owner", os.O_CREAT | os.O_RDWR, 0o600)
            with contextlib.suppress(OSError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.chown(self.path, user.pw_uid, user.pw_gid)
                return
            os.close(self._lock)  # a sweep took the new folder for a dead one: take another

    def remove(self) -> None:
        """Remove the folder and give the lock back."""
        _remove(self.path)
        os.close(self._lock)


def _run_base(user: pwd.struct_passwd) -> Path:
    """TMPDIR if the servers can live there, else /var/tmp: on disk, unlike /tmp, and short enough for a socket."""
    longest = len("/kawamori-database-xxxxxxxx/") + len(SOCKET_NAME)
    wanted = os.environ.get("TMPDIR")
    for base in (*([Path(wanted)] if wanted else []), Path("/var/tmp"), Path("/tmp")):  # noqa: S108
        if (
            base.is_dir()
            and os.access(base, os.W_OK)
            and reachable(base, user)
            and len(str(base)) + longest <= SOCKET_PATH_LIMIT
        ):
            return base
    message = "no folder for a private server: /var/tmp and /tmp cannot be written"
    raise ConfigurationError(message)


def _sweep(base: Path, prefix: str, user: pwd.struct_passwd) -> None:
    """Remove what earlier runs left that were killed: the kernel gave their locks back."""
    for folder in base.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid != user.pw_uid:
                continue
            lock = os.open(folder / "owner", os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
            finally:
                os.close(lock)


def _remove(folder: Path) -> None:
    """Remove a run's folder, and the few bytes of shared memory that a killed PostgreSQL leaves."""
    with contextlib.suppress(OSError, IndexError):
        shared_memory = (folder / "data/postmaster.pid").read_text().splitlines()[6].split()[1]
        subprocess.run(["ipcrm", "-m", shared_memory], capture_output=True, check=False)  # noqa: S603, S607
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def private_folder(kind: str) -> Iterator[Path]:
    """A folder `kawamori-KIND-…`, removed afterwards; one whose owner was killed is swept by the next of its kind."""
    with ended_by_signals():
        folder = RunFolder(kind, pwd.getpwuid(os.geteuid()))
        try:
            yield folder.path
        finally:
            folder.remove()


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGINT unwind the stack, unless another handler is installed.

    At SIGTERM Python would die by default with its folders left. SIGINT is ignored in what a shell without job control
    started in the background (`make demo &` in a script), and servers without an end are worse than one end too many.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    wanted = (
        (signal.SIGTERM, signal.SIG_DFL, leave),
        (signal.SIGINT, signal.SIG_IGN, signal.default_int_handler),
    )
    taken = [(number, before, ours) for number, before, ours in wanted if signal.getsignal(number) is before]
    for number, _, ours in taken:
        signal.signal(number, ours)
    try:
        yield
    finally:
        for number, before, ours in taken:
            if signal.getsignal(number) is ours:
                signal.signal(number, before)
