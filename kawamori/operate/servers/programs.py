"""Where PostgreSQL and Mosquitto are on this machine, as which user they run, and how they are started."""

import contextlib
import os
import pwd
import signal
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kawamori.errors import ConfigurationError, KawamoriError

SETUP = "next: run `python3 deploy/setup.py {step}` in the clone"


class ServerFailed(KawamoriError):
    """A private server did not start, or did not stop; the text ends with its last words."""


def cache_folder() -> Path:
    """Where the set-up keeps what it downloaded: KAWAMORI_CACHE, or a folder that a server's user can reach."""
    if own := os.environ.get("KAWAMORI_CACHE"):
        return Path(own).absolute()
    if os.geteuid() == 0:
        return Path("/var/cache/kawamori")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kawamori"


def postgres_programs() -> Path:
    """The folder of the unpacked PostgreSQL's programs (`postgres`, `initdb`, `psql`)."""
    found = sorted(cache_folder().glob("timescaledb/usr/lib/postgresql/*/bin"))
    if not found:
        message = f"no private TimescaleDB under {cache_folder()}; {SETUP.format(step='timescaledb')}"
        raise ConfigurationError(message)
    return found[-1]


def mosquitto_program() -> Path:
    """The installed Mosquitto, else the unpacked one."""
    for path in (Path("/usr/sbin/mosquitto"), cache_folder() / "mosquitto/usr/sbin/mosquitto"):
        if path.exists():
            return path
    message = f"no Mosquitto on this machine or under {cache_folder()}; {SETUP.format(step='mosquitto')}"
    raise ConfigurationError(message)


def server_user() -> pwd.struct_passwd:
    """Who runs the servers: ourselves, but never root, because PostgreSQL refuses it."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    message = "running as root, and this machine has neither a user `postgres` nor `nobody` to run PostgreSQL"
    raise ConfigurationError(message)


def reachable(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether the user may walk down to the folder."""
    for folder in (path, *path.parents):
        facts = folder.stat()
        who = (
            stat.S_IXUSR
            if facts.st_uid == user.pw_uid
            else stat.S_IXGRP
            if facts.st_gid == user.pw_gid
            else stat.S_IXOTH
        )
        if not facts.st_mode & who:
            return False
    return True


def as_user(user: pwd.struct_passwd) -> list[str]:
    """The words before a command that must run as that user, and must die with us.

    `setpriv` asks for the death signal after it has changed the user, since the change clears it.
    """
    words = ["setpriv", "--pdeathsig", "QUIT"]
    if os.geteuid() == 0:
        words += ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    return words


#: The kernel's death signal comes with the end of the *thread* that started the child: this one lives as long as we do.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="servers")


def _default_signals() -> None:
    """Undo what a shell does to its background jobs: they ignore SIGINT and SIGQUIT, and so would a server.

    Mosquitto has no handler for SIGQUIT, the death signal: ignored, it would outlive us.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def start_program(command: list[str], user: pwd.struct_passwd, *, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that Ctrl-C in the terminal reaches us first."""
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(cwd),
        "LC_ALL": "C",
        "TZ": "UTC",
    }
    with log.open("ab") as out:
        return _starter.submit(
            subprocess.Popen,
            [*as_user(user), *command],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            preexec_fn=_default_signals,
            start_new_session=True,
        ).result()


def run_checked(command: list[str], what: str, *, stdin: str | None = None) -> str:
    """Run a command to its end and return its output; raises ServerFailed with its last error text."""
    done = subprocess.run(command, input=stdin, cwd="/", capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        message = f"could not {what}:\n{done.stderr[-2000:]}"
        raise ServerFailed(message)
    return done.stdout
