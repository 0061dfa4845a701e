"""Debian packages unpacked into a folder of our own: nothing is installed, no root, no service starts.

Signatures are verified as ever, because it is the machine's own apt that downloads, from the machine's own
mirrors, with lists and state in a folder of its own.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

#: Signs what the distribution publishes; any other Signed-By marks a third party's source.
KEYRINGS = {
    "debian": Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    "ubuntu": Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
}
#: What a dependency closure holds beside libraries is maintainer scripts' tools, which never run here; LLVM is
#: 100 MB for a JIT compiler that is switched off.
NEEDED = re.compile(r"(lib|zlib)(?!.*-perl$)(?!perl|llvm|z3-|pam-modules|debconf|audit-common|c-l10n|semanage|c-bin)")

APT_CONF = """\
Dir::State "{folder}";
Dir::State::Lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
Dir::Etc::sourcelist "{folder}/machine.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::Retries "3";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


class DebsError(Exception):
    """Apt could not give us what we need; the text is for the person in front of the terminal."""


@dataclass(frozen=True)
class Source:
    """One address of the distribution's own packages, as the machine's apt knows it."""

    uris: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    #: Lines that must travel with the address, such as `Check-Valid-Until: no` of a frozen mirror.
    options: tuple[str, ...] = ()

    def stanza(self, keyring: Path) -> str:
        lines = ("Types: deb", f"URIs: {self.uris}", f"Suites: {' '.join(self.suites)}",
                 f"Components: {' '.join(self.components)}", f"Signed-By: {keyring}", *self.options)  # fmt: skip
        return "\n".join(lines) + "\n"


def release() -> dict[str, str]:
    """What /etc/os-release says: ID, VERSION_CODENAME …"""
    pairs = (line.partition("=") for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return {key: value.strip('"') for key, _, value in pairs}


def keyring() -> Path:
    return KEYRINGS.get(release().get("ID", ""), KEYRINGS["debian"])


def _stanzas(text: str) -> list[dict[str, str]]:
    """Read deb822, with its continuation lines and comments."""
    stanzas: list[dict[str, str]] = [{}]
    key = ""
    for line in text.splitlines():
        if not line.strip():
            stanzas.append({})
        elif line.startswith("#"):
            continue
        elif line[0].isspace():
            stanzas[-1][key] += " " + line.strip()
        else:
            key, _, value = line.partition(":")
            key = key.strip().lower()
            stanzas[-1][key] = value.strip()
    return [stanza for stanza in stanzas if stanza]


def _one_line(line: str) -> dict[str, str] | None:
    """Read `deb [options] uri suite components…`, or nothing of another line."""
    match = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line)
    if not match:
        return None
    options = dict(option.partition("=")[::2] for option in (match[1] or "").split())
    return {**options, "types": "deb", "uris": match[2], "suites": match[3], "components": match[4].strip()}


def parse_sources(texts: dict[str, str], codename: str) -> list[Source]:
    """Return the distribution's own sources among a machine's apt files; file names ending in `.sources` are deb822."""
    entries: list[dict[str, str]] = []
    for name, text in texts.items():
        if name.endswith(".sources"):
            entries += _stanzas(text)
        else:
            entries += [entry for entry in map(_one_line, text.splitlines()) if entry]
    found = []
    for entry in entries:
        suites = tuple(entry.get("suites", "").split())
        signed_by = entry.get("signed-by", "")
        official = re.search(r"(debian|ubuntu)-archive", signed_by) or (
            not signed_by and re.search(r"/(debian|ubuntu|debian-security|ubuntu-ports)/?$", entry.get("uris", ""))
        )
        ours = {codename, "stable", "oldstable"}
        if (official and "deb" in entry.get("types", "").split() and entry.get("enabled", "yes").lower() != "no"
                and any(suite.split("-")[0] in ours for suite in suites)):  # fmt: skip
            names = {"check-valid-until": "Check-Valid-Until", "trusted": "Trusted"}
            options = tuple(f"{names[key]}: {value}" for key, value in entry.items() if key in names)
            components = tuple(c for c in entry["components"].split() if c in {"main", "universe"})
            found.append(Source(entry["uris"], suites, components, options))
    return found


def machine_sources() -> list[Source]:
    """Return where this machine gets the distribution's packages from; never an address of our own."""
    etc = Path("/etc/apt")
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    texts = {str(file): file.read_text() for file in files if file.suffix in {".list", ".sources"} and file.is_file()}
    found = parse_sources(texts, release().get("VERSION_CODENAME", ""))
    if not found:
        message = "no source of Debian's or Ubuntu's own packages in /etc/apt; next: restore it and try again"
        raise DebsError(message)
    return found


def for_suite(sources: list[Source], codename: str, suite: str) -> list[Source]:
    """Return the same mirrors' addresses for another release of the distribution (`-updates`, `-security` kept)."""
    return [
        replace(source, suites=tuple(re.sub(rf"^({codename}|stable|oldstable)\b", suite, s) for s in source.suites))
        for source in sources
    ]


class Apt:
    """The machine's apt with lists and state in `folder`, seeing nothing installed: closures are complete."""

    def __init__(self, folder: Path, suite: str | None = None, *, signed_by: Path | None = None) -> None:
        self.folder = folder
        self._key = signed_by or keyring()
        sources = machine_sources()
        if suite:
            sources = for_suite(sources, release()["VERSION_CODENAME"], suite)
        for name in ("lists/partial", "archives/partial", "debs"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        (folder / "machine.sources").write_text("\n".join(source.stanza(self._key) for source in sources))
        (folder / "apt.conf").write_text(APT_CONF.format(folder=folder))

    def _run(self, *command: str, cwd: Path | None = None) -> str:
        program, *arguments = command
        done = subprocess.run(
            [program, "-c", str(self.folder / "apt.conf"), *arguments],
            cwd=cwd, env={**os.environ, "LC_ALL": "C"}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode or re.search(
            r"^(E|W): .*(Failed to fetch|index files failed|NO_PUBKEY)", done.stderr, re.MULTILINE
        ):
            raise DebsError(f"`{program} {arguments[0]}` failed:\n{_tail(done.stderr or done.stdout)}")
        return done.stdout

    def update(self) -> None:
        self._run("apt-get", "update", "-q")

    def search(self, pattern: str) -> list[str]:
        lines = self._run("apt-cache", "search", "--names-only", pattern).splitlines()
        return sorted(line.split(" - ")[0] for line in lines)

    def closure(self, roots: list[str]) -> list[str]:
        """Return the packages and everything they depend on, as if nothing were installed."""
        text = self._run("apt-get", "install", "-s", "--no-install-recommends", *roots)
        return re.findall(r"^Inst (\S+)", text, re.MULTILINE)

    def unpack(self, packages: list[str], root: Path) -> None:
        """Download what is not there yet, and unpack everything under `root`; no maintainer script runs."""
        debs = self.folder / "debs"
        self._run("apt-get", "download", "-q", *packages, cwd=debs)
        root.mkdir(parents=True)
        for package in packages:
            for deb in debs.glob(f"{package}_*.deb"):
                subprocess.run(["dpkg-deb", "-x", str(deb), str(root)], check=True)
        root.chmod(0o755)

    def forget(self) -> None:
        """Give the space of the downloads back."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _tail(text: str, lines: int = 6) -> str:
    return "\n".join("  " + line for line in text.strip().splitlines()[-lines:])


def library_folders(root: Path) -> list[Path]:
    """Return the folders of `root` that hold shared libraries of this machine's architecture."""
    triplets = [path.name for path in root.glob("usr/lib/*-linux-gnu*")] + [
        p.name for p in root.glob("lib/*-linux-gnu*")
    ]
    return [
        path
        for triplet in sorted(set(triplets))
        for path in (root / "usr/lib" / triplet, root / "lib" / triplet)
        if path.is_dir()
    ]


def run_with_own_libraries(program: Path, root: Path, home: Path) -> None:
    """Put a launcher in the program's place, which starts it with the loader and the libraries unpacked beside it.

    So a program of a newer release runs here, and nothing it starts inherits the libraries. `home` is where
    `root` will lie in the end.
    """
    folders = library_folders(root)
    loaders = [file for folder in folders for file in folder.glob("ld-linux*.so*") if not file.is_symlink()]
    moved = program.with_name(program.name + ".program")
    program.rename(moved)

    def final(path: Path) -> str:
        return str(home / path.relative_to(root))

    command = [
        final(loaders[0]),
        "--library-path",
        ":".join(map(final, folders)),
        "--argv0",
        final(program),
        final(moved),
    ]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    program.chmod(0o755)
