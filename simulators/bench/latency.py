"""How long from a device's write to the level on a screen: every reading, at two steady rates."""

import time

import numpy as np
from numpy.typing import NDArray

from simulators.bench.chain import SERVICES, finish
from simulators.bench.listener import Listener
from simulators.bench.report import Report, percentile
from simulators.bench.site import Bench, BenchFailed, say
from simulators.load import Load, moments


def run(bench: Bench, report: Report) -> None:
    """At 1,000 and at 5,000 readings a second."""
    at_rate(bench, report, 1000, {0.5: 50, 0.99: 250})
    if not bench.quick:
        at_rate(bench, report, 5000, {0.99: 1000})


def at_rate(bench: Bench, report: Report, rate: int, targets: dict[float, float]) -> None:
    """Publish steadily, listen to the stream, and match each reading with the moment of its write."""
    warm, seconds = (1, 3) if bench.quick else (5, 20)
    say(f"latency: {rate:,} readings a second, about {warm + seconds + 10} s")
    with bench.site(f"latency_{rate}") as site:
        site.start(*SERVICES)
        listener = Listener(site.api_url)
        load = Load(steps=(warm + seconds) * rate // 1000, rate=rate)
        board, sent_at = site.generator(load)
        site.wait(listener.began.is_set, 10, "the stream begins")
        before = site.usage()
        board["limit"] = load.messages
        board["go"] = 1
        site.wait(lambda: board["sent"] == load.messages, warm + seconds + 60, "the generator is through")
        finish(site, board, load, report, f"latency, {rate:,}/s")
        spent = site.usage().since(before)
        time.sleep(1)  # the last frames are on their way, and none would be missed for ever
        listener.close()
        found = delays(load, board["end_ms"], listener, np.load(sent_at), skip=warm * rate)
        report.add("latency", f"{rate:,}/s: readings that never came", load.messages - warm * rate - len(found),
                   "readings", target=0)  # fmt: skip
        for share in (0.5, 0.95, 0.99):
            report.add("latency", f"{rate:,}/s: p{share * 100:.0f}", percentile(found, share), "ms",
                       target=targets.get(share))  # fmt: skip
        report.details[f"latency_{rate}"] = {
            "percentiles_ms": {f"{p / 10:g}": percentile(found, p / 1000) for p in (10, 100, 250, 500, 750, 900, 950, 990, 999, 1000)},  # noqa: E501
            "cpu_us_a_reading": {k: v / load.messages * 1e6 for k, v in spent.items()},
            "memory_mib": site.memory(),
        }  # fmt: skip


def delays(load: Load, end_ms: int, listener: Listener, sent_at: NDArray[np.float64], skip: int) -> list[float]:
    """Milliseconds from write to arrival of every reading but the first `skip`."""
    at = moments(load, end_ms)
    arrived = listener.arrivals()
    found = []
    for k in range(skip, load.messages):
        step, station = divmod(k, load.stations)
        moment = arrived.get((station, at[step]))
        if moment is not None:
            found.append((moment - sent_at[k]) * 1000)
    if not found:
        raise BenchFailed("nothing of what was sent came on the stream")
    return found
