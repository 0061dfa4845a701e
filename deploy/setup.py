"""Everything that `make demo` and `make test` need, from Python, make and apt alone; a second run does nothing.

Standard library only: it runs with the system's Python, before there is anything else. Nothing is installed
system-wide except, as root, the browser that the tests look at the page with.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import debs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLONE = Path(__file__).resolve().parents[1]
VENV = CLONE / ".venv"
#: Pinned versions with the hashes of their files; `make renew` writes them.
REQUIREMENTS = CLONE / "deploy" / "requirements"
NODE_AT_LEAST = (20, 19)
#: Programs of PostgreSQL that we start ourselves; each gets a launcher.
DATABASE_PROGRAMS = ("postgres", "initdb", "psql", "pg_dump")
FONT = "fonts-ipafont-gothic"


class SetupError(Exception):
    """A step failed; the text says which and what to do next."""


def cache_folder() -> Path:
    """The same folder that kawamori.operate.servers looks in."""
    if own := os.environ.get("KAWAMORI_CACHE"):
        return Path(own).absolute()
    if os.geteuid() == 0:
        return Path("/var/cache/kawamori")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kawamori"


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one set-up at a time work in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    print(f"set-up: {what} …", flush=True)
    begun = time.monotonic()
    yield
    print(f"set-up: {what}: done in {time.monotonic() - begun:.0f} s", flush=True)


def run(*command: str | Path, cwd: Path = CLONE, env: dict[str, str] | None = None) -> str:
    """Run a command; its last words become the error's."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        words = "\n".join(done.stdout.strip().splitlines()[-12:])
        message = f"`{Path(command[0]).name} {' '.join(map(str, command[1:4]))} …` failed:\n{words}"
        raise SetupError(message)
    return done.stdout


def digest(*parts: str | Path) -> str:
    """A stamp of texts and files: what a step was made from."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part.read_bytes() if isinstance(part, Path) else part.encode())
        sha.update(b"\0")
    return sha.hexdigest()


def stamped(stamp: Path, wanted: str) -> bool:
    return stamp.is_file() and stamp.read_text() == wanted


def pip(home: Path, *arguments: str | Path) -> None:
    """Run a virtual environment's pip."""
    run(home / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *arguments)


def install(home: Path, *names: str) -> None:
    """Install the files `deploy/requirements/NAME.txt`: no file of another hash, and no build tool of another version.

    A package published as source alone is built with the tools that are in `home` already.
    """
    files = [part for name in names for part in ("-r", REQUIREMENTS / f"{name}.txt")]
    pip(home, "--require-hashes", "--no-deps", "--no-build-isolation", *files)


def libraries_stamp() -> str:
    """What the libraries in .venv were made from."""
    return digest(CLONE / "pyproject.toml", *sorted(REQUIREMENTS.glob("*.txt")), sys.version, str(CLONE))


def venv(*, dev: bool) -> None:
    """The project and its libraries in .venv, at the pinned versions."""
    wanted = libraries_stamp()
    stamps = [VENV / ".kawamori-dev"] if dev else [VENV / ".kawamori-run", VENV / ".kawamori-dev"]
    if any(stamped(stamp, wanted) for stamp in stamps):
        return
    with told("Python libraries in .venv"):
        if not (VENV / "bin" / "pip").exists():
            make_venv(VENV)
        install(VENV, "build")
        install(VENV, "run", *["test"] * dev)
        pip(VENV, "--no-deps", "--no-index", "--no-build-isolation", "-e", CLONE)
        stamps[0].write_text(wanted)


def bench_extra() -> None:
    """The bench's peer and its plots, beside whatever the .venv has."""
    wanted = libraries_stamp()
    stamp = VENV / ".kawamori-bench"
    if stamped(stamp, wanted):
        return
    with told("the bench's libraries in .venv"):
        install(VENV, "bench")
        stamp.write_text(wanted)


def make_venv(home: Path) -> None:
    """A virtual environment with pip, also where Debian's python3-venv is missing."""
    try:
        run(sys.executable, "-m", "venv", home)
    except SetupError:
        shutil.rmtree(home, ignore_errors=True)
        run(sys.executable, "-m", "venv", "--without-pip", home)
        unpacked = unpack("pip", ["python3-pip-whl"], closure=False)
        wheel = next(unpacked.glob("usr/share/python-wheels/pip-*.whl"))
        run(home / "bin" / "python", f"{wheel}/pip", "install", "-q", "--no-index", wheel)


def unpack(
    name: str, roots: list[str], *, closure: bool = True, suite: str | None = None,
    finish: Callable[[Path, Path], None] | None = None, all_of: bool = False,
) -> Path:  # fmt: skip
    """Packages unpacked into the cache under `name`, once. `finish(root, home)` puts launchers in."""
    cache = cache_folder()
    home = cache / name
    with alone(cache):
        if home.is_dir():
            return home
        apt = debs.Apt(cache / f"apt-{suite or 'own'}", suite)
        apt.update()
        packages = roots
        if closure:
            found = apt.closure(roots)
            packages = [p for p in found if all_of or p in roots or debs.NEEDED.match(p)]
        building = cache / f"{name}.building"
        shutil.rmtree(building, ignore_errors=True)
        apt.unpack(packages, building)
        if finish:
            finish(building, home)
        building.rename(home)
        cache.chmod(0o755)
    return home


def timescaledb() -> None:
    """A private PostgreSQL with TimescaleDB."""
    if (cache_folder() / "timescaledb").is_dir():
        return
    with told("a private TimescaleDB (about 40 MB)"):
        own = debs.Apt(cache_folder() / "apt-own")
        own.update()
        pattern = r"^postgresql-[0-9]+-timescaledb$"
        suite = None if own.search(pattern) else "trixie"
        if suite:
            newer = debs.Apt(cache_folder() / f"apt-{suite}", suite)
            newer.update()
            names = newer.search(pattern)
        else:
            names = own.search(pattern)
        if not names:
            raise SetupError("this machine's package mirrors offer no TimescaleDB; next: set KAWAMORI_DATABASE_URL")
        version = names[-1].split("-")[1]

        def launchers(root: Path, home: Path) -> None:
            for program in root.glob("usr/lib/postgresql/*/bin/*"):
                if program.name in DATABASE_PROGRAMS and not program.is_symlink():
                    debs.run_with_own_libraries(program, root, home)

        roots = [f"postgresql-{version}", f"postgresql-client-{version}", names[-1]]
        unpack("timescaledb", roots, suite=suite, finish=launchers)


def mosquitto() -> None:
    """The broker, unless the machine has it."""
    if Path("/usr/sbin/mosquitto").exists() or (cache_folder() / "mosquitto").is_dir():
        return
    with told("Mosquitto"):
        unpack(
            "mosquitto", ["mosquitto"],
            finish=lambda root, home: debs.run_with_own_libraries(root / "usr/sbin/mosquitto", root, home),
        )  # fmt: skip


def node() -> Path:
    """The folder of a Node that is new enough: the machine's, else one from a wheel in .venv."""
    system = shutil.which("node")
    if system and shutil.which("npm"):
        version = tuple(int(n) for n in re.findall(r"\d+", run(system, "--version"))[:2])
        if version >= NODE_AT_LEAST:
            return Path(system).parent
    if not (VENV / "bin" / "node").exists():
        with told("Node"):
            install(VENV, "node")
    return VENV / "bin"


def dashboard() -> None:
    """The page, built from dashboard/ into dashboard/dist."""
    folder = CLONE / "dashboard"
    if not (folder / "package.json").exists():
        return
    skip = {"node_modules", "dist"}
    sources = sorted(p for p in folder.rglob("*") if p.is_file() and not skip & set(p.relative_to(folder).parts))
    wanted = digest(*[part for p in sources for part in (str(p.relative_to(folder)), p)])
    stamp = folder / "node_modules" / ".kawamori"
    if stamped(stamp, wanted) and (folder / "dist" / "index.html").exists():
        return
    with told("the page"):
        env = {"PATH": f"{node()}:{os.environ.get('PATH', '')}"}
        locked = digest(folder / "package-lock.json")
        if not stamped(folder / "node_modules" / ".lock-stamp", locked):
            run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=folder, env=env)
            (folder / "node_modules" / ".lock-stamp").write_text(locked)
        run("npm", "run", "build", cwd=folder, env=env)
        stamp.write_text(wanted)


def chromium() -> None:
    """A browser and a Japanese font, for the tests that look at the page."""
    if Path("/usr/bin/chromium").exists() or (cache_folder() / "chromium").is_dir():
        return
    with told("Chromium for the page's tests (about 150 MB)"):
        if os.geteuid() == 0:
            env = {"DEBIAN_FRONTEND": "noninteractive"}
            run("apt-get", "update", "-q", env=env)
            run("apt-get", "install", "-qy", "--no-install-recommends", "chromium", FONT, env=env)
            return

        def launcher(root: Path, home: Path) -> None:
            fonts = root / "fonts.conf"
            fonts.write_text(
                f'<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
                f"<dir>{home}/usr/share/fonts</dir><cachedir>{home}/var/fonts</cachedir></fontconfig>\n"
            )
            folders = debs.library_folders(root)
            folders += [inner for folder in folders if (inner := folder / "pulseaudio").is_dir()]
            libraries = ":".join(str(home / folder.relative_to(root)) for folder in folders)
            script = root / "usr/bin/chromium"
            script.unlink(missing_ok=True)
            script.write_text(
                f'#!/bin/sh\nexport LD_LIBRARY_PATH="{libraries}" FONTCONFIG_FILE="{home}/fonts.conf"\n'
                f'exec {home}/usr/lib/chromium/chromium "$@"\n'
            )
            script.chmod(0o755)

        unpack("chromium", ["chromium", FONT], finish=launcher, all_of=True)


def fault_tools() -> None:
    """What the fault tests break clocks and lines with; a test without its tool skips and says so."""
    tools = {"faketime": "faketime", "tc": "iproute2", "nft": "nftables", "openssl": "openssl"}
    missing = [package for program, package in tools.items() if shutil.which(program) is None]
    if os.geteuid() == 0 and missing:
        with told(f"tools of the fault tests: {', '.join(missing)}"):
            env = {"DEBIAN_FRONTEND": "noninteractive"}
            run("apt-get", "update", "-q", env=env)
            run("apt-get", "install", "-qy", "--no-install-recommends", *missing, env=env)


def main() -> int:
    """Run the steps named, or those for `demo`, `test` or `bench`."""
    own_database = not os.environ.get("KAWAMORI_DATABASE_URL")
    own_broker = not os.environ.get("KAWAMORI_MQTT_URL")
    steps: dict[str, Callable[[], object]] = {
        "venv": lambda: venv(dev=False), "venv-dev": lambda: venv(dev=True), "venv-bench": bench_extra,
        "timescaledb": timescaledb, "mosquitto": mosquitto, "node": node, "dashboard": dashboard, "chromium": chromium,
        "fault-tools": fault_tools,
    }  # fmt: skip
    groups = {
        "demo": ["venv", *["timescaledb"] * own_database, *["mosquitto"] * own_broker, "dashboard"],
        "bench": ["venv", "venv-bench", "timescaledb", "mosquitto"],
        "test": ["venv-dev", "timescaledb", "mosquitto", "node", "dashboard", "chromium", "fault-tools"],
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="+", choices=[*steps, *groups], metavar="STEP",
                        help=f"{', '.join(groups)}, or one of {', '.join(steps)}")  # fmt: skip
    try:
        with alone(CLONE / ".setup"):
            for name in parser.parse_args().steps:
                for step in groups.get(name, [name]):
                    steps[step]()
    except (SetupError, debs.DebsError, OSError) as error:
        print(f"set-up: {error}\nset-up: is the network there? Then the same command goes on where it stopped.",
              file=sys.stderr)  # fmt: skip
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
