"""What a process costs: processor time and memory, from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """The processes that this one's main thread started."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _ticks(pid: int) -> tuple[int, int]:
    """Processor time of the process itself and of its children that ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0, 0
    return int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])


def cpu_s(pid: int) -> float:
    """Seconds of processor time so far, with all its children."""
    own, gone = _ticks(pid)
    return (own + gone) * _TICK_S + sum(cpu_s(child) for child in children(pid))


def busy_s() -> float:
    """Seconds of processor time that the whole machine has spent since it began."""
    user, nice, system, _idle, _wait, irq, softirq, steal = Path("/proc/stat").read_text().split()[1:9]
    return sum(int(ticks) for ticks in (user, nice, system, irq, softirq, steal)) * _TICK_S


def _kib(path: str, key: str) -> int:
    try:
        return int(Path(path).read_text().split(f"{key}:", 1)[1].split()[0])
    except (OSError, IndexError):
        return 0


def peak_mib(pid: int) -> float:
    """The most memory this process had resident since it began."""
    return _kib(f"/proc/{pid}/status", "VmHWM") / 1024


def family_mib(pid: int) -> float:
    """Memory of the process and its children now; what they share counts once (proportional set size)."""
    return sum(_kib(f"/proc/{p}/smaps_rollup", "Pss") for p in [pid, *children(pid)]) / 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds by process name, at one moment."""

    at: float
    cpu: dict[str, float]
    #: What the rest of the machine has spent; only its growth means something.
    elsewhere: float

    def since(self, before: "Usage") -> dict[str, float]:
        """Processor seconds spent since then."""
        return {name: spent - before.cpu.get(name, 0.0) for name, spent in self.cpu.items()}
