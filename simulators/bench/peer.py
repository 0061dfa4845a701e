"""A bare peer beside it, same run, same messages: the wheel `mq-bridge`, which copies and does nothing else.

It validates nothing, keeps no journal, removes no doubles, and stores no device (that stands in the topic only).
"""

import importlib.metadata
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

from simulators.bench import chain
from simulators.bench.report import Report
from simulators.bench.site import Bench, BenchFailed, Site, say
from simulators.load import Load

WHEEL = "mq-bridge"
#: Its commits show in the server's statistics up to a second late, so the generator is let further ahead.
_AHEAD = 60_000
_TABLE = """
CREATE TABLE peer (time timestamptz NOT NULL, quantity text, value float8, unit text);
SELECT create_hypertable('peer', by_range('time', INTERVAL '7 days'), create_default_indexes => false);
"""
_INSERT = (
    "INSERT INTO peer (time, quantity, value, unit)"
    " VALUES (${payload:time}, ${payload:quantity}, ${payload:value}, ${payload:unit})"
)


def run(bench: Bench, report: Report) -> None:
    """Single readings through the peer, as fast as it goes; a line in the notes where it cannot be measured."""
    if importlib.util.find_spec("mq_bridge") is None:
        report.notes.append(f"peer: skipped, {WHEEL} is not installed (pip install 'kawamori[bench]').")
        return
    version = importlib.metadata.version(WHEEL)
    try:
        with bench.site("peer") as site:
            _measure(bench, report, site, version)
    except BenchFailed as error:
        report.notes.append(f"peer: {WHEEL} {version} could not be measured: {error}")


def _route(site: Site) -> dict[str, Any]:
    return {
        "input": {
            "mqtt": {"url": site.broker.url.replace("mqtt:", "tcp:"), "topic": "kawamori/v1/device/+/reading",
                     "client_id": "bench-peer", "qos": 1, "queue_capacity": 10_000, "max_inflight": 1000},
        },
        "output": {"sqlx": {"url": site.database_url, "table": "peer", "insert_query": _INSERT, "bulk_copy": True}},
        "batch_size": 1000,
    }  # fmt: skip


def _measure(bench: Bench, report: Report, site: Site, version: str) -> None:
    warm, seconds = (1, 3) if bench.quick else (5, 20)
    say(f"peer: {WHEEL} {version}, about {warm + seconds + 15} s")
    site.psql(_TABLE)
    route = site.folder / "peer.json"
    route.write_text(json.dumps(_route(site)))
    site.run("peer", ["-m", "simulators.bench.peer", str(route)])
    load = Load(steps=250 if bench.quick else 1400)
    board, _ = site.generator(load)
    site.wait((site.folder / "peer.started").exists, 30, "the peer has started")
    board["go"] = 1

    def feed(until: float) -> None:
        while time.monotonic() < until and board["sent"] < load.messages:
            seen = site.psql.number("SELECT coalesce(sum(n_tup_ins), 0) FROM pg_stat_user_tables;")
            board["limit"] = int(seen) + _AHEAD
            time.sleep(0.1)
            site.check_alive()

    def stored() -> int:
        return int(site.psql.number("SELECT count(*) FROM peer;"))

    feed(time.monotonic() + warm)
    first, before = stored(), site.usage()
    feed(time.monotonic() + seconds)
    last, after = stored(), site.usage()
    board["stop"] = 1
    if last == first:
        raise BenchFailed(f"it stored nothing\n{site.last_words()}")
    rate = (last - first) / (after.at - before.at)
    cpu = {name: spent / (last - first) * 1e6 for name, spent in after.since(before).items()}
    report.add("peer", f"{WHEEL} {version}, single readings", rate, "rows/s")
    report.add("peer", f"{WHEEL}: its own processor time", cpu["peer"], "µs a row")
    report.add("peer", f"{WHEEL}: database", cpu["database"], "µs a row")
    if ours := report.value("chain", "single readings, committed"):
        report.add("peer", "the whole chain's rate to the peer's", ours / rate, "×")
        spent = sum(report.details["chain_single"]["cpu_us_a_reading"][name] for name in chain.SERVICES)
        report.add("peer", "the whole chain's processor time to the peer's", spent / cpu["peer"], "×")
    site.wait(lambda: site.processes["generator"].poll() == 0, 60, "the broker confirmed what was sent")
    try:
        site.wait(lambda: stored() >= board["sent"], 30, "the peer stored everything sent")
    except BenchFailed as error:
        report.notes.append(f"peer: {error}")
    report.details["peer"] = {
        "version": version, "rate": rate, "cpu_us_a_row": cpu, "memory_mib": site.memory(), "sent": board["sent"],
        "stored": stored(),
    }  # fmt: skip


def serve(route_file: Path) -> None:
    """The peer's own process: its route, for ever."""
    import mq_bridge

    route = mq_bridge.Route.from_config(json.loads(route_file.read_text()))
    route.start()
    route_file.with_suffix(".started").touch()
    route.join()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
