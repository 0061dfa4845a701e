"""Known vulnerabilities among the pinned packages, and the software bill of materials (CycloneDX JSON in dist/).

The sources are asked once a day, or when a pin has changed; the answer is kept in `.setup/audit.json`. A source that
cannot be reached is named and fails nothing; it is asked again after an hour. A known vulnerability fails unless
`deploy/accepted_vulnerabilities.toml` lists it with a reason and a date that has not passed.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import setup

KEPT = setup.CLONE / ".setup" / "audit.json"
ACCEPTED = setup.CLONE / "deploy" / "accepted_vulnerabilities.toml"
BILLS = setup.CLONE / "dist"
DASHBOARD = setup.CLONE / "dashboard"
#: Asked in turn until one answers: the package index's own data, and the open database that it is made from.
PYTHON_SOURCES = ("pypi", "osv")
DEADLINE_S = 45
ASK_AGAIN = {True: dt.timedelta(days=1), False: dt.timedelta(hours=1)}


@dataclass(frozen=True)
class Finding:
    """One known vulnerability of one pinned package; `names` are its identifiers (GHSA, CVE, PYSEC)."""

    package: str
    names: tuple[str, ...]
    fixed: str = ""


@dataclass
class Answer:
    """What the sources said: which kinds of packages they answered for, and in words what is not known."""

    findings: list[Finding] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)


def read_pip_audit(text: str) -> Answer | None:
    """Read pip-audit's JSON; None when it is none, or when its source knew not one package: it was not reached."""
    try:
        packages = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if len(skipped) == len(packages):
        return None
    return Answer(
        [
            Finding(
                f"{package['name']} {package['version']}",
                (found["id"], *found.get("aliases", ())),
                ", ".join(found.get("fix_versions", ())),
            )
            for package in packages
            for found in package.get("vulns", ())
        ],
        [f"Python: no data about {', '.join(skipped)}"] if skipped else [],
    )


def read_npm_audit(text: str) -> Answer | None:
    """Read `npm audit --json`; None when the registry gave no report."""
    try:
        packages = json.loads(text)["vulnerabilities"]
    except (ValueError, KeyError, TypeError):
        return None
    findings = {
        (name, via["url"]): Finding(f"{name} {via['range']}", (via["url"].rpartition("/")[2],))
        for name, package in packages.items()
        for via in package["via"]
        if isinstance(via, dict)
    }
    return Answer(list(findings.values()))


def read_accepted(text: str, today: dt.date) -> dict[str, str]:
    """Identifiers that are let pass today, with their reasons; an entry without reason or date is an error."""
    accepted = {}
    for entry in tomllib.loads(text).get("accepted", []):
        reason, until = entry.get("reason", ""), entry.get("until")
        if not entry.get("id") or not reason.strip() or not isinstance(until, dt.date):
            raise setup.SetupError(f"{ACCEPTED.name}: {entry} needs an id, a reason and a date `until`")
        if today <= until:
            accepted[entry["id"]] = reason
    return accepted


def refused(findings: list[Finding], accepted: dict[str, str]) -> list[Finding]:
    """Return the findings that no accepted identifier names."""
    return [finding for finding in findings if not accepted.keys() & set(finding.names)]


def output(*command: str | Path, cwd: Path = setup.CLONE) -> str:
    """Return a command's standard output, whatever its exit code; empty when it takes longer than `DEADLINE_S`."""
    try:
        done = subprocess.run(
            list(map(str, command)), cwd=cwd, env=with_node(), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=DEADLINE_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


def with_node() -> dict[str, str]:
    """Return the environment in which `npm` is found."""
    return {**os.environ, "PATH": f"{setup.node()}:{os.environ.get('PATH', '')}"}


def pins() -> list[Path]:
    """Return every file that pins a package."""
    return [*sorted(setup.REQUIREMENTS.glob("*.txt")), DASHBOARD / "package-lock.json"]


def ask_python() -> Answer | None:
    """Ask the first source that answers about one package about all; None when none does."""
    program = (setup.VENV / "bin" / "pip-audit", "--disable-pip", "--require-hashes", "--progress-spinner", "off",
               "--timeout", "5", "-f", "json")  # fmt: skip
    files = [part for file in sorted(setup.REQUIREMENTS.glob("*.txt")) for part in ("-r", file)]
    for source in PYTHON_SOURCES:
        if read_pip_audit(output(*program, "-s", source, "-r", setup.REQUIREMENTS / "renew.txt")):
            return read_pip_audit(output(*program, "-s", source, *files))
    return None


def ask() -> Answer:
    """Ask the sources about every pinned package."""
    with ThreadPoolExecutor() as threads:
        python = threads.submit(ask_python)
        npm = threads.submit(output, "npm", "audit", "--json", cwd=DASHBOARD)
    answer = Answer()
    for kind, found, otherwise in (
        ("Python", python.result(), "no source of known vulnerabilities could be reached"),
        ("npm", read_npm_audit(npm.result()), "the registry gave no audit report"),
    ):
        if found:
            answer.findings += found.findings
            answer.unknown += found.unknown
            answer.answered.append(kind)
        else:
            answer.unknown.append(f"{kind}: {otherwise}")
    return answer


def kept_or_asked(now: dt.datetime) -> Answer:
    """Return the answer kept in `.setup`, unless it is too old or the pins are others; then ask."""
    stamp = setup.digest(*pins())
    try:
        kept: dict[str, Any] = json.loads(KEPT.read_text())
        age = now - dt.datetime.fromisoformat(kept["asked"])
        if kept["pins"] == stamp and age < ASK_AGAIN[not kept["unknown"]]:
            findings = [Finding(f["package"], tuple(f["names"]), f["fixed"]) for f in kept["findings"]]
            return Answer(findings, kept["unknown"], kept["answered"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    answer = ask()
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps({"asked": now.isoformat(), "pins": stamp, **asdict(answer)}, indent=1))
    return answer


def bills_of_materials() -> None:
    """Write dist/sbom-python.json (what runs) and dist/sbom-page.json, when a pin has changed."""
    stamp = BILLS / ".sbom-stamp"
    wanted = setup.digest(*pins())
    if setup.stamped(stamp, wanted):
        return
    BILLS.mkdir(exist_ok=True)
    python = setup.VENV / "bin" / "cyclonedx-py"
    setup.run(python, "requirements", "--of", "JSON", "-o", BILLS / "sbom-python.json",
              "--pyproject", setup.CLONE / "pyproject.toml", setup.REQUIREMENTS / "run.txt")  # fmt: skip
    page = setup.run("npm", "sbom", "--sbom-format", "cyclonedx", "--package-lock-only", "--omit", "dev",
                     cwd=DASHBOARD, env=with_node())  # fmt: skip
    (BILLS / "sbom-page.json").write_text(page)
    stamp.write_text(wanted)


def main() -> int:
    """Write the bills, and say what is known."""
    now = dt.datetime.now(dt.UTC)
    try:
        bills_of_materials()
        accepted = read_accepted(ACCEPTED.read_text(), now.date())
        answer = kept_or_asked(now)
    except (setup.SetupError, OSError) as error:
        print(f"audit: {error}", file=sys.stderr)
        return 1
    for words in answer.unknown:
        print(f"audit: {words}; not checked, and not counted as a failure")
    bad = refused(answer.findings, accepted)
    for finding in bad:
        fixed = f"; mended in {finding.fixed}" if finding.fixed else ""
        print(f"audit: {finding.package}: {', '.join(finding.names)}{fixed}; next: `make renew`", file=sys.stderr)
    passed = len(answer.findings) - len(bad)
    if answer.answered:
        print(f"audit: {' and '.join(answer.answered)}: {len(bad)} known vulnerabilities, {passed} more accepted")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
