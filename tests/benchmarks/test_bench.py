"""The bench itself: does it measure, and does it see what is lost? No time is asserted here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simulators.bench.docs import read, write
from simulators.bench.history import literal
from simulators.bench.listener import arrivals
from simulators.bench.report import Report, commit, percentile
from simulators.bench.site import BenchFailed
from simulators.load import Board, Load, levels, moments, packets

pytestmark = pytest.mark.timeout(240)


def bench(*words):
    return subprocess.run(
        [sys.executable, "-m", "kawamori.cli", "bench", *words], capture_output=True, text=True, timeout=230
    )


@pytest.mark.integration
def test_a_quick_run_measures_the_real_chain_and_finds_nothing_lost(tmp_path):
    kept = tmp_path / "bench.json"
    done = bench("trickle", "--quick", "--json", str(kept))
    assert done.returncode == 0, done.stderr
    report = read(kept)
    assert report.value("kept", "chain, trickle: readings sent and not stored") == 0
    assert report.value("kept", "chain, trickle: in quarantine") == 0
    details = report.details["kept_chain, trickle"]
    assert details["sent"] == details["stored"] >= 4000
    for process in ("gateway", "ingest", "alerts", "database", "broker"):
        assert 0 < report.value("cpu", f"trickle: {process}") < 10_000
        assert 5 < report.value("memory", f"trickle: {process}") < 2_000
    assert "gateway + ingest at 1,000 readings/s" in done.stdout
    assert json.loads(kept.read_text())["machine"]["cores"]


def test_an_unknown_part_is_named_beside_those_that_exist():
    done = bench("speed")
    assert done.returncode == 2
    assert "speed" in done.stderr
    assert "floor" in done.stderr


@pytest.mark.parametrize("name", ["latest_levels", "count_hourly_readings", "weekly_readings", "raw_readings"])
def test_a_query_is_given_to_psql_without_placeholders(name):
    text = literal(name, sensor="1", start="'2026-01-01Z'", end="'2026-01-02Z'", limit="9", time_zone="'UTC'",
                   stations="NULL")  # fmt: skip
    assert "%(" not in text


def test_a_parameter_without_a_value_is_named_before_psql_sees_it():
    with pytest.raises(BenchFailed, match=r"latest_levels.*'stations'"):
        literal("latest_levels")


def test_a_target_is_met_or_missed_on_the_right_side():
    report = Report()
    report.add("chain", "rate", 20_000, "readings/s", target=20_000, at_least=True)
    report.add("chain", "rate", 19_999, "readings/s", target=20_000, at_least=True)
    report.add("latency", "p99", 250, "ms", target=250)
    report.add("latency", "p99", 251, "ms", target=250)
    report.add("memory", "api", 90, "MiB")
    assert [figure.verdict for figure in report.figures] == ["met", "missed", "met", "missed", ""]
    assert report.table().count("missed") == 2


def test_the_table_names_the_commit_that_was_measured_where_one_is_known():
    report = Report()
    report.machine["commit"] = "1234567+changes"
    assert " at 1234567+changes on " in report.markdown()
    del report.machine["commit"]  # an earlier run's file
    assert " at " not in report.markdown().splitlines()[0]


def test_a_folder_outside_any_clone_has_no_commit(tmp_path):
    assert commit(tmp_path) == ""


def test_a_percentile_is_one_of_the_values():
    assert [percentile([3.0, 1.0, 2.0, 4.0], share) for share in (0, 0.5, 0.99, 1)] == [1.0, 3.0, 4.0, 4.0]


def test_every_message_is_a_packet_of_its_own_station_in_ascending_time():
    import mqtt5

    load = Load(stations=8, steps=6, together=3)
    lanes = packets(load, 1_800_000_000_000)
    assert sum(len(lane) for lane in lanes) == load.messages == 16
    seen: dict[str, list[str]] = {}
    for lane in lanes:
        for n, packet in enumerate(lane):
            message, size = mqtt5.read(memoryview(packet))
            assert size == len(packet)
            assert message.packet_id == n + 1
            readings = json.loads(message.payload)["readings"]
            assert len(readings) == 3
            seen.setdefault(message.topic, []).extend(reading["time"] for reading in readings)
    assert len(seen) == 8
    for times in seen.values():
        assert len(set(times)) == 6
        assert times == sorted(times)


def test_all_times_lie_within_the_last_twenty_five_minutes_however_many_there_are():
    load = Load(steps=20_000)
    assert moments(load, 1_500_000)[0] >= 0
    assert moments(load, 1_500_000)[-1] == 1_500_000


def test_most_stations_are_calm_and_a_few_cross_a_threshold():
    highest = levels(Load(steps=1400)).max(axis=1)
    assert 0.85 < (highest < 2000).mean() < 0.98
    assert (highest > 2000).sum() > 10


def test_a_frame_counts_once_when_its_last_piece_is_here_however_it_was_cut():
    def frame(*readings):
        items = [{"station_id": f"bench-{s:04d}", "sensor_id": 1, "time": f"2026-07-14T02:10:{second:02d}Z", "value": 1}
                 for s, second in readings]  # fmt: skip
        return b"event: reading\ndata: " + json.dumps({"readings": items}, separators=(",", ":")).encode() + b"\n\n"

    stream = b"HTTP/1.1 200 OK\r\n\r\nretry: 2000\n\n" + frame((1, 0), (2, 0)) + frame((1, 1)) + frame((1, 0))
    minute = 1_783_995_000_000
    whole = {(1, minute): 0.0, (2, minute): 0.0, (1, minute + 1000): 0.0}
    assert arrivals([(0.0, stream)]) == whole
    for size in (1, 7, 50):
        pieces = [(float(n), stream[n : n + size]) for n in range(0, len(stream), size)]
        assert arrivals(pieces).keys() == whole.keys()
        assert arrivals(pieces)[1, minute] < arrivals(pieces)[1, minute + 1000]


def test_a_counter_is_seen_by_another_process(tmp_path):
    ours = Board(tmp_path / "board")
    ours["limit"] = 2**40
    theirs = "board = Board(Path(sys.argv[1])); board['sent'] = board['limit'] + 1"
    program = f"import sys; from pathlib import Path; from simulators.load import Board; {theirs}"
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "board")], check=True, cwd=Path(__file__).parents[2])
    assert ours["sent"] == 2**40 + 1


def test_table_and_pictures_come_from_an_earlier_run(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need the extra `bench`")
    report = Report()
    report.add("chain", "single readings, committed", 21_000, "readings/s", target=20_000, at_least=True)
    report.details["latency_1000"] = {"percentiles_ms": {"50": 30.0, "99": 120.0}}
    kept = tmp_path / "bench.json"
    kept.write_text(report.json())
    page = tmp_path / "performance.md"
    page.write_text("before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n")
    write(read(kept), tmp_path)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "21,000 readings/s" in text
    assert "old" not in text
    assert (tmp_path / "pictures/bench-rates.svg").stat().st_size > 1000
    assert "](pictures/bench-latency.svg)" in text
    assert (tmp_path / "pictures/bench-latency.svg").exists()
    assert not (tmp_path / "pictures/bench-history.svg").exists()  # that part was not measured
    assert "bench-history" not in text
