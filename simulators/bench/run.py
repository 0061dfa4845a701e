"""The bench's parts in order, on servers of one run."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from simulators.bench import chain, floor, history, latency, peer, stream
from simulators.bench.report import Report
from simulators.bench.site import Bench, BenchFailed, say

Part = Callable[[Bench, Report], None]
#: In the order in which they run: later parts are compared with earlier ones.
PARTS: dict[str, Part] = {
    "floor": floor.run,
    "chain": chain.run,
    "peer": peer.run,
    "latency": latency.run,
    "stream": stream.run,
    "history": history.run,
}
#: Pieces of parts, and parts that take long: only when named.
NAMED: dict[str, Part] = {
    "grow": history.grow,
    "single": chain.single,
    "batched": chain.batched,
    "trickle": chain.trickle,
}


def run(names: list[str], *, quick: bool, json_file: Path | None = None) -> Report:
    """Run the named parts, or all that belong to the usual run; keeps the JSON after each part."""
    known = PARTS | NAMED
    report = Report()
    with ExitStack() as stack:
        bench = Bench(stack, quick=quick)
        for name in names or PARTS:
            say(f"part {name}")
            try:
                known[name](bench, report)
            except BenchFailed as error:
                say(f"part {name} failed: {error}")
                report.failed.append(f"{name}: {error}")
            if json_file is not None:
                json_file.write_text(report.json())
    return report
