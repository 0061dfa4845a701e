"""The whole chain with everything on: how many readings a second are committed, and what each one costs."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from simulators.bench.report import Report
from simulators.bench.site import Bench, BenchFailed, Site, say, wait_until
from simulators.load import Board, Load

SERVICES = ("gateway", "ingest", "alerts", "api")
#: Readings that the generator may be ahead of the last commit: two seconds' worth, which keeps everybody busy and lets
#: no backlog grow whose cost would be counted to the readings committed meanwhile; and its bounds.
_AHEAD_S = 2.0
_AHEAD = (15_000, 100_000)
#: Cores that the rest of the machine (the kernel's own work, mostly) may take before the figures say so.
_QUIET = 0.15


@dataclass(frozen=True, slots=True)
class Measured:
    """A steady stretch of one run."""

    rate: float
    seconds: float
    cpu_us: dict[str, float]
    cpu_share: dict[str, float]
    memory: dict[str, float]
    #: Cores that the rest of the machine took meanwhile.
    elsewhere: float


def run(bench: Bench, report: Report) -> None:
    """All three loads of the chain."""
    single(bench, report)
    batched(bench, report)
    trickle(bench, report)


def single(bench: Bench, report: Report) -> None:
    """A reading a message, as fast as it goes."""
    found = saturate(bench, report, "single", Load(steps=200 if bench.quick else 1400), 20)
    report.add("chain", "single readings, committed", found.rate, "readings/s", target=20_000, at_least=True)
    floors = [report.value("floor", "broker, single readings"),
              report.value("floor", f"database, COPY of {1000:,} rows a transaction")]  # fmt: skip
    if known := [floor for floor in floors if floor]:
        report.add("chain", "single readings, share of the floor", found.rate / min(known), "×", target=0.5,
                   at_least=True)  # fmt: skip


def batched(bench: Bench, report: Report) -> None:
    """Fifty readings a message, as fast as it goes."""
    found = saturate(bench, report, "batched", Load(steps=600 if bench.quick else 3000, together=50), 20)
    report.add("chain", "50 readings a message, committed", found.rate, "readings/s", target=60_000, at_least=True)


def saturate(bench: Bench, report: Report, kind: str, load: Load, seconds: float) -> Measured:
    """Keep the chain busy and measure it once it runs steadily."""
    warm, seconds = (1.0, 3.0) if bench.quick else (5.0, seconds)
    say(f"chain: {kind} readings, about {warm + seconds + 15:.0f} s")
    with bench.site(f"chain_{kind}") as site:
        site.start(*SERVICES)
        board, _ = site.generator(load)
        board["go"] = 1
        keep_busy = Feeder(site, board, load)
        keep_busy(warm)
        found = measure(site, lambda: keep_busy(seconds))
        if board["sent"] == load.messages:
            report.notes.append(f"chain, {kind}: the generator ran out of messages after {found.seconds:.0f} s.")
        finish(site, board, load, report, f"chain, {kind}")
        _keep(report, f"chain_{kind}", found)
        return found


def trickle(bench: Bench, report: Report) -> None:
    """A thousand readings a second: what the services take from a small machine."""
    warm, seconds = (1, 4) if bench.quick else (5, 20)
    say(f"chain: 1,000 readings a second, about {warm + seconds + 8} s")
    with bench.site("chain_trickle") as site:
        site.start(*SERVICES)
        load = Load(steps=warm + seconds + 5, rate=1000)
        board, _ = site.generator(load)
        board["limit"] = load.messages
        board["go"] = 1
        time.sleep(warm)
        found = measure(site, lambda: time.sleep(seconds))
        board["stop"] = 1
        finish(site, board, load, report, "chain, trickle")
        _keep(report, "chain_trickle", found)
        both = (found.cpu_us["gateway"] + found.cpu_us["ingest"]) / 1e6 * 1000
        report.add("chain", "1,000 readings/s sent, committed", found.rate, "readings/s", target=990, at_least=True)
        report.add("chain", "gateway + ingest at 1,000 readings/s", both * 100, "% of a core", target=15)


class Feeder:
    """Lets the generator run two seconds ahead of the commits."""

    def __init__(self, site: Site, board: Board, load: Load) -> None:
        self._site, self._board, self._load = site, board, load
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=20)

    def __call__(self, seconds: float) -> None:
        """Keep the chain busy for so long, or until all is sent."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._board["sent"] < self._load.messages:
            self._seen.append((time.monotonic(), self._site.committed()))
            (begun, first), (now, last) = self._seen[0], self._seen[-1]
            ahead = (last - first) / (now - begun) * _AHEAD_S
            self._board["limit"] = (last + int(max(_AHEAD[0], min(ahead, _AHEAD[1])))) // self._load.together
            time.sleep(0.05)


def measure(site: Site, meanwhile: Callable[[], object]) -> Measured:
    """What is committed, and what it costs, while `meanwhile` runs."""
    first, before = site.stored(), site.usage()
    meanwhile()
    last, after = site.stored(), site.usage()
    site.check_alive()
    seconds, count = after.at - before.at, last - first
    if not count:
        raise BenchFailed(f"nothing was committed in {seconds:.0f} s\n{site.last_words()}")
    spent = after.since(before)
    return Measured(
        count / seconds, seconds, {k: v / count * 1e6 for k, v in spent.items()},
        {k: v / seconds for k, v in spent.items()}, site.memory(),
        (after.elsewhere - before.elsewhere) / seconds,
    )  # fmt: skip


def finish(site: Site, board: Board, load: Load, report: Report, what: str) -> None:
    """Stop the load, and see that everything sent is stored once and nothing refused."""
    board["stop"] = 1
    wait_until(lambda: site.processes["generator"].poll() == 0, 60, "the broker confirmed what was sent")
    sent = board["sent"] * load.together
    begun = time.monotonic()
    drain(site, sent)
    try:
        site.wait(site.alerts_caught_up, 60, "alerts has followed the feed to its end")
    except BenchFailed as error:
        report.notes.append(f"{what}: {error}")
    drained = time.monotonic() - begun
    stored = site.stored()
    resent = site.metric("gateway", "kawamori_gateway_resent_total")
    report.add("kept", f"{what}: batches sent again", resent, "batches")
    report.add("kept", f"{what}: readings sent and not stored", sent - stored, "readings", target=0)
    report.add("kept", f"{what}: in quarantine", site.psql.number("SELECT count(*) FROM quarantine;"), "messages",
               target=0)  # fmt: skip
    flags = {row.split("|")[0]: int(row.split("|")[1])
             for row in site.psql("SELECT flag, count(*) FROM reading GROUP BY 1 ORDER BY 1;")}  # fmt: skip
    report.details[f"kept_{what}"] = {
        "sent": sent, "stored": stored, "drained_s": drained, "resent": resent, "flags": flags,
        "alerts": site.psql.number("SELECT count(*) FROM alert;"),
        "batches": site.psql.number("SELECT count(*) FROM ingest_batch;"),
    }  # fmt: skip


def drain(site: Site, sent: int) -> None:
    """Wait until everything sent is stored, or until for 15 s nothing more has been: then something is lost."""
    stored, moved = 0, time.monotonic()
    while stored < sent and time.monotonic() < moved + 15:
        site.check_alive()
        time.sleep(0.25)
        now = site.stored()
        if now > stored:
            stored, moved = now, time.monotonic()


def _keep(report: Report, name: str, found: Measured) -> None:
    kind = name.removeprefix("chain_")
    report.details[name] = {
        "rate": found.rate, "seconds": found.seconds, "cpu_us_a_reading": found.cpu_us, "cores": found.cpu_share,
        "memory_mib": found.memory, "elsewhere_cores": found.elsewhere,
    }  # fmt: skip
    if found.elsewhere > _QUIET:
        report.notes.append(f"{name.replace('_', ', ')}: not a quiet machine, {found.elsewhere:.1f} cores were taken by"
                            " others: the rate could be higher")  # fmt: skip
    for service, cost in found.cpu_us.items():
        report.add("cpu", f"{kind}: {service}", cost, "µs a reading",
                   note=f"{found.cpu_share[service]:.0%} of a core")  # fmt: skip
    for service, size in found.memory.items():
        report.add("memory", f"{kind}: {service}", size, "MiB")
