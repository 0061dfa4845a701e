"""The bench's table and pictures for docs/performance.md, made from its JSON."""

import json
from pathlib import Path
from typing import Any

from kawamori.errors import ConfigurationError
from simulators.bench.report import Figure, Report

_BEGIN, _END = "<!-- bench: begin -->", "<!-- bench: end -->"
#: The same colour for the same process in every picture (Okabe and Ito's, told apart by colour-blind eyes).
_COLOURS = {
    "gateway": "#0072B2", "ingest": "#E69F00", "alerts": "#CC79A7", "api": "#56B4E9", "database": "#009E73",
    "broker": "#D55E00", "generator": "#999999", "peer": "#000000",
}  # fmt: skip


def read(json_file: Path) -> Report:
    """What an earlier run kept."""
    try:
        found = json.loads(json_file.read_text())
        figures = [Figure(**{k: v for k, v in figure.items() if k != "verdict"}) for figure in found["figures"]]
        return Report(figures, found["details"], found["notes"], found["failed"], found["machine"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{json_file}: not the JSON of a bench: {error}") from error


def write(report: Report, folder: Path) -> None:
    """Put the table into FOLDER/performance.md, between its marks, and the pictures into FOLDER/pictures."""
    page = folder / "performance.md"
    text = page.read_text()
    head, begin, rest = text.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not begin or not end:
        raise ConfigurationError(f"{page}: the marks {_BEGIN} and {_END} are not there")
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    links = [f"![{title}](pictures/{name})" for title, name in draw(report, pictures)]
    body = "\n\n".join([report.markdown(), *links])
    page.write_text(f"{head}{_BEGIN}\n{body}\n{_END}{tail}")


def draw(report: Report, folder: Path, kind: str = "svg") -> list[tuple[str, str]]:
    """Draw every picture whose part was measured; returns the title and file name of each."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise ConfigurationError("pictures need matplotlib: pip install 'kawamori[bench]'") from None
    mpl.use("agg")
    mpl.rcParams.update({"svg.hashsalt": "kawamori", "svg.fonttype": "none", "font.size": 9, "axes.axisbelow": True})
    drawn = []
    for title, name, picture in (
        ("Readings a second", "rates", _rates),
        ("Processor time a reading", "costs", _costs),
        ("Latency", "latency", _latencies),
        ("History", "history", _history),
    ):
        file = folder / f"bench-{name}.{kind}"
        if picture(report, file):
            drawn.append((title, file.name))
        else:
            file.unlink(missing_ok=True)  # of an earlier run
    return drawn


def _figure(height: float) -> tuple[Any, Any]:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> bool:
    from matplotlib import pyplot as plt

    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
    return True


def _rates(report: Report, path: Path) -> bool:
    """Readings a second: the floors, the chain with its targets, the peer."""
    rows = [f for f in report.figures if f.part in ("floor", "chain", "peer") and f.unit.endswith("s/s")]
    if not rows:
        return False
    figure, axes = _figure(0.6 + 0.38 * len(rows))
    names = [f"{f.part}: {f.what.removesuffix(', committed')}" for f in rows]
    colours = {"floor": "#BBBBBB", "chain": "#0072B2", "peer": "#000000"}
    bars = axes.barh(names, [f.value for f in rows], color=[colours[f.part] for f in rows])
    axes.bar_label(bars, [f"{f.value:,.0f}" for f in rows], padding=4)
    for n, f in enumerate(rows):
        if f.target:
            axes.plot([f.target] * 2, [n - 0.45, n + 0.45], color="#D55E00", linewidth=2)
    axes.set(xscale="log", xlabel="a second (orange: the target)")
    axes.margins(x=0.2)
    axes.invert_yaxis()
    return _save(figure, path)


def _costs(report: Report, path: Path) -> bool:
    """Processor time a reading, process by process."""
    kinds = [k for k in ("single", "batched", "trickle") if f"chain_{k}" in report.details]
    if not kinds:
        return False
    figure, axes = _figure(0.9 + 0.5 * len(kinds))
    titles = {"single": "a reading a message", "batched": "50 a message", "trickle": "1,000 a second"}
    left = [0.0] * len(kinds)
    for process, colour in _COLOURS.items():
        costs = [report.details[f"chain_{k}"]["cpu_us_a_reading"].get(process, 0.0) for k in kinds]
        if any(costs):
            axes.barh([titles[k] for k in kinds], costs, left=left, color=colour, label=process)
            left = [a + b for a, b in zip(left, costs, strict=True)]
    axes.set(xlabel="µs of processor time a reading")
    axes.invert_yaxis()
    axes.legend(ncols=4, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.35))
    return _save(figure, path)


def _latencies(report: Report, path: Path) -> bool:
    """How many of a hundred readings were there after so many milliseconds."""
    names = {"latency_1000": "1,000 readings/s", "latency_5000": "5,000 readings/s", "stream": "full house"}
    rows = [(title, report.details[k]["percentiles_ms"]) for k, title in names.items() if k in report.details]
    if not rows:
        return False
    figure, axes = _figure(2.8)
    for title, percentiles in rows:
        axes.plot(list(percentiles.values()), [float(p) for p in percentiles], marker="o", markersize=3, label=title)
    axes.set(
        xscale="log", xlabel="ms from the device's write to the live stream", ylabel="% of readings", ylim=(0, 102)
    )
    axes.set_xticks([20, 50, 100, 200, 500], ["20", "50", "100", "200", "500"])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return _save(figure, path)


def _history(report: Report, path: Path) -> bool:
    """The API's answers beside the same SQL through psql."""
    rows = {
        k.removeprefix("history_"): v for k, v in report.details.items() if k.startswith("history_") and "http_ms" in v
    }
    if not rows:
        return False
    figure, axes = _figure(0.8 + 0.5 * len(rows))
    at = range(len(rows))
    for shift, key, colour in ((-0.2, "http_ms", "#0072B2"), (0.2, "psql_ms", "#BBBBBB")):
        values = [row[key]["p50"] for row in rows.values()]
        bars = axes.barh([n + shift for n in at], values, 0.38, color=colour, label=key.removesuffix("_ms"))
        axes.bar_label(bars, [f"{value:.1f}" for value in values], padding=4)
    axes.set_yticks(list(at), [name.replace("_", ", ") for name in rows])
    axes.set(xlabel="ms, median")
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.legend(frameon=False)
    return _save(figure, path)
