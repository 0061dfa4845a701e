"""The bench's figures: one line each, with its target and whether it was met."""

import json
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure. A target is a least (`at_least`) or a most; None is for information."""

    part: str
    what: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        """`met`, `missed`, or nothing where there is no target."""
        if self.target is None:
            return ""
        return "met" if (self.value >= self.target if self.at_least else self.value <= self.target) else "missed"


def machine() -> dict[str, Any]:
    """What it is measured on."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    return {
        "measured": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cores": os.cpu_count(),
        "processor": model,
        "memory_gib": round(int(Path("/proc/meminfo").read_text().split()[1]) / 2**20, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        "commit": commit(Path(__file__).parents[2]),
    }


def commit(clone: Path) -> str:
    """The short commit of a clone, with `+changes` when tracked files differ from it; empty where there is none."""
    words = ["git", "-C", str(clone), "describe", "--always", "--exclude=*", "--abbrev=7", "--dirty=+changes"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - no input
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


@dataclass(slots=True)
class Report:
    """Everything measured in one run."""

    figures: list[Figure] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    #: Parts that could not be measured, and why.
    failed: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=machine)

    def add(self, part: str, what: str, value: float, unit: str, **more: Any) -> None:
        """Keep one figure."""
        self.figures.append(Figure(part=part, what=what, value=value, unit=unit, **more))

    def value(self, part: str, what: str) -> float | None:
        """A figure measured earlier in this run."""
        return next((f.value for f in self.figures if (f.part, f.what) == (part, what)), None)

    def table(self) -> str:
        """For people."""
        rows = [("part", "what", "measured", "target", "")]
        for f in self.figures:
            target = "" if f.target is None else f"{'≥' if f.at_least else '≤'} {_number(f.target)} {f.unit}"
            rows.append((f.part, f.what, f"{_number(f.value)} {f.unit}", target, f.verdict))
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines.insert(1, "  ".join("-" * width for width in widths[:4]))
        return "\n".join([*lines, "", *self.notes, *(f"NOT MEASURED: {why}" for why in self.failed)])

    def markdown(self) -> str:
        """For docs/performance.md."""
        of = self.machine
        system = f"{of['cores']} cores of {of['processor']}, {of['memory_gib']} GiB, Python {of['python']}"
        build = f" at {of['commit']}" if of.get("commit") else ""  # earlier runs' files name none
        lines = [f"Measured {of['measured']}{build} on {system}. Load before it began: {of['load_before']:.2f}.", ""]
        lines += ["| part | what | measured | target | | |", "|---|---|---|---|---|---|"]
        for f in self.figures:
            target = "" if f.target is None else f"{'≥' if f.at_least else '≤'} {_number(f.target)}"
            verdict = f"**{f.verdict}**" if f.verdict == "missed" else f.verdict
            lines.append(f"| {f.part} | {f.what} | {_number(f.value)} {f.unit} | {target} | {verdict} | {f.note} |")
        return "\n".join([*lines, "", *(f"- {note}" for note in [*self.notes, *self.failed])])

    def json(self) -> str:
        """For scripts and plots."""
        figures = [asdict(f) | {"verdict": f.verdict} for f in self.figures]
        found = {"machine": self.machine, "figures": figures, "details": self.details, "notes": self.notes}
        return json.dumps(found | {"failed": self.failed}, indent=1, ensure_ascii=False)


def _number(value: float) -> str:
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
