"""The floor: what this broker and this database do when nothing is asked of them but to pass readings on."""

import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from simulators.bench.report import Report
from simulators.bench.site import Bench, Site, say
from simulators.load import Board, Load, levels, moments

_AHEAD = 30_000
_ROWS = 1000
_COLUMNS = "sensor_id, observed_at, value, flag, reasons, received_at"
#: A row of `COPY … (FORMAT BINARY)`: the number of fields, then each field's length and value.
_ROW = np.dtype(
    [("fields", ">i2")]
    + [item for name, kind in (("sensor", ">i4"), ("at", ">i8"), ("value", ">f8"), ("flag", ">i2"), ("why", ">i2"),
                               ("received", ">i8"))
       for item in ((f"{name}_bytes", ">i4"), (name, kind))]
)  # fmt: skip
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_2000_01_01 = 946_684_800


def run(bench: Bench, report: Report) -> None:
    """Measure both floors with the messages of the chain's part."""
    broker(bench, report, Load(steps=120 if bench.quick else 600), "single", "messages/s")
    if not bench.quick:
        broker(bench, report, Load(steps=1500, together=50), "batched", "readings/s")
    database(bench, report, Load(steps=200 if bench.quick else 600))


def broker(bench: Bench, report: Report, load: Load, kind: str, unit: str) -> None:
    """Messages to a subscriber that only acknowledges."""
    seconds = 2 if bench.quick else 10
    say(f"floor: the broker alone, {kind} readings, about {seconds + 5} s")
    with bench.site(f"floor_{kind}", stations=1) as site:
        board = _subscriber(site)
        generator, _ = site.generator(load)
        generator["go"] = 1

        def feed() -> int:
            received = board["received"]
            generator["limit"] = received + _AHEAD // load.together
            return received

        site.wait(lambda: feed() > load.messages // 20, 60, "the broker delivers")
        before, first, begun = site.usage(), feed(), time.monotonic()
        while feed() < load.messages and time.monotonic() < begun + seconds:
            time.sleep(0.01)
        last, took = feed(), time.monotonic() - begun
        cpu = site.usage().since(before)
        rate = (last - first) * load.together / took
        report.add("floor", f"broker, {kind} readings", rate, unit)
        report.details[f"floor_{kind}"] = {
            "seconds": took, "cpu_us_a_message": {k: v / (last - first) * 1e6 for k, v in cpu.items()},
        }  # fmt: skip


def _subscriber(site: Site) -> Board:
    path = site.folder / "subscriber.board"
    board = Board(path)
    board["received"] = -1
    address = urlsplit(site.broker.url)
    site.run("subscriber", ["-m", "simulators.bench.subscriber", str(address.hostname), str(address.port), str(path)])
    site.wait(lambda: board["received"] == 0, 20, "the subscriber listens")
    return board


def copy_file(path: Path, load: Load, first: int, steps: int) -> None:
    """Rows of `steps` steps from `first` as PostgreSQL's binary COPY takes them, sorted by key."""
    mm = levels(load)[:, first : first + steps]
    rows = np.zeros(mm.size, _ROW)
    rows["fields"] = 6
    for name, size in (("sensor", 4), ("at", 8), ("value", 8), ("flag", 2), ("why", 2), ("received", 8)):
        rows[f"{name}_bytes"] = size
    rows["sensor"] = np.repeat(np.arange(1, load.stations + 1), steps)
    at = np.array(moments(load, int(time.time() * 1000))[first : first + steps], np.int64) * 1000
    rows["at"] = np.tile(at - _2000_01_01 * 1_000_000, load.stations)
    rows["value"] = mm.ravel() / 1000
    rows["flag"] = 1
    rows["received"] = int((time.time() - _2000_01_01) * 1e6)
    path.write_bytes(_HEADER + rows.tobytes() + b"\xff\xff")


def database(bench: Bench, report: Report, load: Load) -> None:
    """The same rows by binary COPY through psql, a thousand a transaction, into the migrated table."""
    say("floor: the database alone by binary COPY, about 10 s")
    with bench.site("floor_copy") as site:
        commands = []
        for step in range(load.steps):
            path = site.folder / f"{step}.copy"
            copy_file(path, load, step, 1)
            commands.append(f"\\copy reading ({_COLUMNS}) FROM '{path}' WITH (FORMAT BINARY)")
        before, begun = site.usage(), time.monotonic()
        site.psql("\n".join(commands))
        took = time.monotonic() - begun
        cpu = site.usage().since(before)
        rows = site.stored()
        report.add("floor", f"database, COPY of {_ROWS:,} rows a transaction", rows / took, "readings/s")
        report.details["floor_copy"] = {"rows": rows, "seconds": took, "cpu_us_a_row": cpu["database"] / rows * 1e6}
