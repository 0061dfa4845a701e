"""The live stream before a full house: a thousand screens, every reading of two hundred stations."""

import json

import numpy as np

from simulators.bench.chain import SERVICES, finish
from simulators.bench.report import Report, percentile
from simulators.bench.site import Bench, say
from simulators.load import Board, Load, moments

STATIONS = 200


def run(bench: Bench, report: Report) -> None:
    """Each station once a second, evenly over the second; every client hears every reading."""
    clients = 100 if bench.quick else 1000
    seconds = 4 if bench.quick else 30
    say(f"stream: {clients:,} clients, about {seconds + 20} s")
    with bench.site("stream", stations=STATIONS) as site:
        site.environment["KAWAMORI_API__STREAM_CLIENTS"] = str(clients + 10)  # as a site of so many screens would
        site.start(*SERVICES)
        crowd = Board(site.folder / "crowd.board")
        out = site.folder / "crowd.json"
        site.run("clients", ["-m", "simulators.bench.crowd", site.api_url, str(clients), "50",
                             str(site.folder / "crowd.board"), str(out)])  # fmt: skip
        site.wait(lambda: bool(crowd["ready"]), 120, "every client is connected")
        load = Load(stations=STATIONS, steps=seconds, rate=STATIONS)
        board, sent_at = site.generator(load)
        before = site.usage()
        board["limit"] = load.messages
        board["go"] = 1
        site.wait(lambda: board["sent"] == load.messages, seconds + 60, "the generator is through")
        after = site.usage()
        finish(site, board, load, report, "stream")
        crowd["stop"] = 1
        site.wait(lambda: site.processes["clients"].poll() == 0, 120, "the clients write down what they heard")
        heard = json.loads(out.read_text())
        at = {ms: step for step, ms in enumerate(moments(load, board["end_ms"]))}
        sent = np.load(sent_at)
        found = [
            (moment - sent[at[ms] * STATIONS + station]) * 1000
            for client in heard["sampled"]
            for station, ms, moment in client
            if ms in at
        ]
        due = load.messages * clients
        spent = after.since(before)
        whole = {(station, ms) for station in range(STATIONS) for ms in at}
        missing = sum(len(whole - {(station, ms) for station, ms, _ in client}) for client in heard["sampled"])
        report.add("stream", f"readings that one of {len(heard['sampled'])} clients looked at missed", missing,
                   "readings", target=0)  # fmt: skip
        report.add("stream", "readings that the worst-served client heard", heard["fewest"], f"of {load.messages:,}",
                   target=load.messages, at_least=True,
                   note="more than all: a reading judged anew is told again")  # fmt: skip
        report.add("stream", "clients let go", heard["lost"], f"of {clients:,}", target=0)
        for share in (0.5, 0.95, 0.99):
            report.add("stream", f"{clients:,} clients: p{share * 100:.0f}", percentile(found, share), "ms",
                       target=1000 if share == 0.95 else None)  # fmt: skip
        took = after.at - before.at
        report.add("stream", "api", spent["api"] / due * 1e6, "µs a delivery",
                   note=f"{spent['api'] / took:.0%} of a core")  # fmt: skip
        report.details["stream"] = {
            "clients": clients, "sampled_clients": len(heard["sampled"]), "resyncs": heard["resyncs"],
            "fewest_readings": heard["fewest"], "cores": {k: v / took for k, v in spent.items()},
            "percentiles_ms": {f"{p / 10:g}": percentile(found, p / 1000) for p in (10, 100, 250, 500, 750, 900, 950, 990, 999, 1000)},  # noqa: E501
            "memory_mib": site.memory(),
        }  # fmt: skip
