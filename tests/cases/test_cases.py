"""Cases that other people met with their gauges, each through the real chain. Its expect.txt says what is right."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

Site = Any
RECENT = "2020-01-01T00:00:00Z"


def times(points: list[dict[str, Any]]) -> list[datetime]:
    return [datetime.fromisoformat(p["time"]).astimezone(UTC) for p in points]


def values(points: list[dict[str, Any]]) -> list[float | None]:
    return [p["value"] for p in points]


def test_01_names_in_kanji_are_two_stations(site: Site) -> None:
    done = site.replay("01-names-in-kanji-collide/levels.csv", *site.limits("01-names-in-kanji-collide"))
    assert done.returncode == 0, done.stderr
    stations = {s["name"]["ja"]: s for s in site.get("/stations")["stations"]}
    assert stations["太田橋"]["station_id"] != stations["水府橋"]["station_id"]
    for name, wanted, level2 in (("太田橋", [1.2, 1.25, 1.3], 2.0), ("水府橋", [3.1, 3.05, 3.0], 5.0)):
        id_ = stations[name]["station_id"]
        site.stored(id_, 3)
        assert values(site.readings(id_, "2025-09-05T00:00:00+09:00", "2025-09-05T02:00:00+09:00")) == wanted
        assert [t["value_m"] for t in stations[name]["thresholds"]] == [level2]
    site.judged()
    assert not any(site.alerts(stations[n]["station_id"]) for n in ("太田橋", "水府橋"))


def test_02_a_replay_leaves_the_register_as_it_is(site: Site) -> None:
    assert site.register("02-replay-rewrites-the-register/stations.json").returncode == 0
    before = site.get("/stations/b02-shiomi")
    done = site.replay("02-replay-rewrites-the-register/levels.csv")
    assert done.returncode == 0, done.stderr
    site.stored("b02-shiomi", 6)
    assert site.get("/stations/b02-shiomi") == before


def test_03_the_hour_24_is_the_next_days_first(site: Site) -> None:
    done = site.replay("03-hour-24/levels.csv", "--time-zone", "Asia/Tokyo", *site.limits("03-hour-24"), "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["sent"], said["refused"], said["without_value"]) == (72, 0, 0)
    site.stored("b03-yoshida", 72)
    points = site.readings("b03-yoshida", "2025-09-04T22:00:00+09:00", "2025-09-05T03:00:00+09:00")
    peak = datetime(2025, 9, 4, 15, tzinfo=UTC)
    assert dict(zip(times(points), values(points), strict=True))[peak] == 4.62
    assert site.chain.sql(
        "SELECT count(*) FROM reading JOIN sensor USING (sensor_id) WHERE station_id = 'b03-yoshida'"
        " AND observed_at AT TIME ZONE 'Asia/Tokyo' IN ('2025-09-05', '2025-09-06', '2025-09-07')"
    ) == [(3,)]
    site.judged()
    (stay,) = site.alerts("b03-yoshida")
    assert datetime.fromisoformat(stay["started_at"]) == peak
    assert datetime.fromisoformat(stay["ended_at"]) == peak + timedelta(hours=1)


def test_05_an_hour_that_comes_twice_and_one_that_never_was(site: Site) -> None:
    done = site.replay("05-hour-that-comes-twice/autumn.csv", "--time-zone", "Europe/London", "--json")
    assert done.returncode == 0, done.stderr
    site.stored("b05-autumn", 13)
    points = site.readings("b05-autumn", "2025-10-25T23:00:00Z", "2025-10-26T03:00:00Z")
    start = datetime(2025, 10, 25, 23, 30, tzinfo=UTC)
    assert times(points) == [start + timedelta(minutes=15 * i) for i in range(13)]
    assert values(points) == [round(2.40 - 0.02 * i, 2) for i in range(13)]
    done = site.replay("05-hour-that-comes-twice/spring.csv", "--time-zone", "Europe/London", "--json")
    assert done.returncode == 1
    assert [line[:6] for line in json.loads(done.stdout)["told"]] == ["line 4", "line 5", "line 6"]
    site.stored("b05-spring", 5)
    points = site.readings("b05-spring", "2025-03-30T00:00:00Z", "2025-03-30T03:00:00Z")
    assert values(points) == [1.10, 1.12, 1.14, 1.16, 1.18]


def test_06_a_separator_does_not_cut_off_the_peak(site: Site) -> None:
    folder = "06-thousands-separator-cuts-off-the-peak"
    limits = site.limits(folder)
    done = site.replay(f"{folder}/millimetres.csv", "--unit", "mm", *limits, "--json")
    assert done.returncode == 0, done.stderr
    site.stored("b06-weir", 6)
    site.judged()
    (alert,) = site.alerts("b06-weir")
    assert (alert["flood_level"], alert["peak_m"]) == (2, 1.038)
    assert datetime.fromisoformat(alert["started_at"]) == datetime(2025, 9, 4, 16, 20, tzinfo=UTC)
    assert datetime.fromisoformat(alert["ended_at"]) == datetime(2025, 9, 4, 16, 50, tzinfo=UTC)
    done = site.replay(f"{folder}/comma.csv", *limits)
    assert done.returncode == 0, done.stderr
    site.stored("b06-weir", 9)
    assert values(site.readings("b06-weir", "2025-09-06T00:00:00+09:00", "2025-09-06T03:00:00+09:00")) == [
        0.962,
        0.987,
        1.012,
    ]


def test_07_letters_beside_a_number_leave_it_a_number_in_doubt(site: Site) -> None:
    folder = "07-letters-beside-the-number"
    done = site.replay(f"{folder}/levels.csv", *site.limits(folder), "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)["told"]
    assert all(any(word in line for line in told) for word in ("Ice", "Eqp", "***", "-"))
    site.stored("b07-bridge", 7)
    points = site.readings("b07-bridge", "2025-09-05T00:00:00+09:00", "2025-09-05T03:00:00+09:00")
    marked = {p["value"]: p["flag"] for p in points}
    assert values(points) == [3.9, 4.1, 4.35, 5.0, 5.0, 4.7, 4.02]
    assert all(marked[v] == 3 for v in (4.1, 4.35, 5.0, 4.7))
    site.judged()
    (alert,) = site.alerts("b07-bridge")
    assert alert["flood_level"] == 3


def test_09_one_broken_probe_costs_its_own_reading(site: Site) -> None:
    assert site.register("09-one-broken-probe-silences-the-box/stations.json").returncode == 0
    site.publish(site.lines("09-one-broken-probe-silences-the-box/messages.tsv"))
    site.stored("b09-camp", 2)
    site.judged()
    assert site.level("b09-camp")["level_m"] == 4.31
    assert any(a["flood_level"] == 3 and a["state"] == "firing" for a in site.alerts("b09-camp"))
    site.wait_until(lambda: site.refused("b09-box"), 10, "the temperature is in quarantine")


def test_10_a_unit_column_is_obeyed(site: Site) -> None:
    folder = "10-two-units-in-one-file"
    done = site.replay(f"{folder}/levels.csv", *site.limits(folder), "--shift-to-now", "--json")
    assert done.returncode == 0, done.stderr
    site.stored("b10-brook", 6)
    site.judged()
    assert values(site.readings("b10-brook", RECENT)) == [0.12, 0.12, 0.12, 0.13, 0.12, 0.12]
    assert site.alerts("b10-brook") == []


def test_11_thresholds_for_nobody_are_named(site: Site) -> None:
    folder = "11-thresholds-for-nobody"
    done = site.replay(f"{folder}/levels.csv", *site.limits(folder))
    assert done.returncode == 2
    assert "'1646500' is not in the recording; is '01646500' meant?" in done.stderr
    assert "'b11-ota ' is not in the recording; is 'b11-ota' meant?" in done.stderr


def test_12_a_threshold_that_is_none_is_refused_by_field(site: Site) -> None:
    folder = "12-threshold-that-is-none"
    for sheet, fields in (
        ("undefined", ("thresholds.3", "thresholds.4")),
        ("disorder", ("thresholds.4", "thresholds")),
    ):
        for flags in (("--dry-run",), ()):
            done = site.register(f"{folder}/{sheet}.json", *flags)
            assert done.returncode == 2, (sheet, flags, done.stdout)
            assert all(field in done.stderr for field in fields), done.stderr
    site.publish(site.lines(f"{folder}/messages.tsv"))
    known = {s["station_id"] for s in site.get("/levels/latest")["stations"]}
    assert not known & {"b12-lake", "b12-disorder"}


def test_13_thresholds_in_another_height_system_are_not_registered_in_silence(site: Site) -> None:
    done = site.register("13-thresholds-from-the-other-zero/stations.json", "--dry-run")
    said = done.stdout + done.stderr
    assert "thresholds" in said
    assert "363.19" in said
    assert done.returncode == 2 or "T.P." in said


def test_14_one_threshold_a_level_is_in_force(site: Site) -> None:
    folder = "14-threshold-that-was-raised"
    assert site.register(f"{folder}/sheet_2024.json").returncode == 0
    done = site.register(f"{folder}/sheet_2026.json")
    assert done.returncode == 0, done.stderr
    site.publish(site.lines(f"{folder}/messages.tsv"))
    site.stored("b14-okubo", 3)
    site.judged()
    in_force = {t["level"]: t["value_m"] for t in site.get("/stations/b14-okubo")["thresholds"]}
    assert in_force == {2: 3.4, 3: 4.2}
    assert "thresholds.1" in done.stderr
    assert site.level("b14-okubo")["flood_level"] == 0
    assert site.alerts("b14-okubo") == []


def test_16_the_old_logger_on_the_bench_measures_nothing(site: Site) -> None:
    folder = "16-old-logger-on-the-bench"
    assert site.register(f"{folder}/sheet_old.json").returncode == 0
    done = site.register(f"{folder}/sheet_new.json")
    assert done.returncode == 0, done.stderr
    site.publish(site.lines(f"{folder}/messages.tsv"))
    site.stored("b16-ford", 3)
    site.wait_until(lambda: len(site.refused("b16-old")) == 2, 20, "what the old box sent after the swap is refused")
    assert all("not deployed" in m["reason"] for m in site.refused("b16-old"))
    site.judged()
    assert site.level("b16-ford")["level_m"] == 1.54
    assert site.alerts("b16-ford") == []
    old = next(d for d in site.get("/stations/b16-ford/devices")["devices"] if d["device_id"] == "b16-old")
    assert old["valid_to"] is not None


def test_17_one_quantity_given_twice_is_refused(site: Site) -> None:
    done = site.register("17-two-gauges-one-place/stations.json")
    assert done.returncode == 2
    assert "b17-sluice" in done.stderr
    assert "water_level" in done.stderr
    assert "twice" in done.stderr


def test_18_a_restated_reading_stands_and_its_alert_is_withdrawn(site: Site) -> None:
    folder = "18-the-corrected-value-is-lower"
    assert site.register(f"{folder}/stations.json").returncode == 0
    lines = site.lines(f"{folder}/messages.tsv")
    site.publish(lines[:6])
    site.stored("b18-tet", 6)
    site.judged()
    assert any(a["flood_level"] == 2 and a["state"] == "firing" for a in site.alerts("b18-tet"))
    site.publish(lines[6:])
    expected = [2.70, 2.71, 2.72, 2.73, 2.74, 2.75]
    site.wait_until(lambda: values(site.readings("b18-tet", RECENT)) == expected, 20, "the newest statement stands")
    site.judged()
    assert site.level("b18-tet")["level_m"] == 2.75
    assert all(a["state"] == "withdrawn" for a in site.alerts("b18-tet") if a["flood_level"] == 2)
    sql = "SELECT count(*) FROM reading_revision JOIN sensor USING (sensor_id) WHERE station_id = 'b18-tet'"
    assert site.chain.sql(sql)[0][0] >= 6
    site.wait_until(lambda: site.told("b18-tet")[-1][0] == "withdrawn", 30, "whoever was told is told")


def test_20_a_counter_is_never_summed_as_rain(site: Site) -> None:
    folder = "20-rain-that-is-counted-up"
    assert site.register(f"{folder}/stations.json").returncode == 0
    site.publish(site.lines(f"{folder}/messages.tsv"))
    site.stored("b20-hill", 5, "rainfall")
    (hour,) = site.readings("b20-hill", RECENT, quantity="rainfall", resolution="hour")
    points = site.readings("b20-hill", RECENT, quantity="rainfall")
    said = any(p["flag"] != 1 for p in points)
    assert said or hour["sum"] in (pytest.approx(0.6), pytest.approx(0.8))


def test_22_no_echo_is_no_level(site: Site) -> None:
    folder = "22-radar-without-an-echo"
    assert site.register(f"{folder}/stations.json").returncode == 0
    site.publish(site.lines(f"{folder}/messages.tsv"))
    site.stored("b22-hulk", 6)
    site.judged()
    assert site.level("b22-hulk")["level_m"] == pytest.approx(1.952)
    good = [p["value"] for p in site.readings("b22-hulk", RECENT) if p["flag"] < 4]
    assert max(good) < 2.5
    assert min(good) > 1.9
    assert not [a for a in site.alerts("b22-hulk") if a["state"] != "withdrawn"]
    assert site.told("b22-hulk") == []


def test_24_a_wrong_zone_is_named_and_hides_no_flood(site: Site) -> None:
    folder = "24-wall-clock-with-the-wrong-label"
    assert site.register(f"{folder}/stations.json").returncode == 0
    site.publish(site.lines(f"{folder}/ahead.tsv"))
    site.publish(site.lines(f"{folder}/behind.tsv"))
    site.wait_until(lambda: len(site.refused("b24-ahead-dev")) == 2, 20, "what lies ahead is in quarantine")
    site.wait_until(lambda: site.alerts("b24-ahead", "clock"), 120, "the clock's alert names it")
    site.stored("b24-behind", 6)
    site.wait_until(lambda: site.alerts("b24-behind", "clock"), 120, "the clock's alert names the one behind")
    # it is told once the feed has been still for a while
    site.wait_until(lambda: [a["retroactive"] for a in site.alerts("b24-behind")] == [False], 60, "level 3 is told of")
    (level,) = site.alerts("b24-behind")
    assert (level["flood_level"], level["state"], level["verified"]) == (3, "firing", False)
    site.wait_until(lambda: "raised" in [event for event, _ in site.told("b24-behind")], 60, "people are told")
    assert not site.alerts("b24-behind", "silent")


def test_25_a_feed_that_is_always_late_is_told_with_its_age(site: Site) -> None:
    folder = "25-feed-that-is-always-late"
    assert site.register(f"{folder}/stations.json").returncode == 0
    site.publish(site.lines(f"{folder}/messages.tsv"))
    site.stored("b25-loire", 7)
    site.judged()
    site.wait_until(lambda: [e for e, _ in site.told("b25-loire")] == ["raised"], 60, "people are told")
    (alert,) = site.alerts("b25-loire")
    assert (alert["flood_level"], alert["state"], alert["retroactive"]) == (3, "firing", False)


def test_26_an_hourly_gauge_is_neither_gappy_nor_dead(site: Site) -> None:
    folder = "26-hourly-gauge-is-no-outage"
    done = site.replay(f"{folder}/hourly.csv", "--shift-to-now")
    assert done.returncode == 0, done.stderr
    site.stored("b26-hourly", 72)
    assert site.chain.sql("SELECT report_every FROM sensor WHERE station_id = 'b26-hourly'") == [(timedelta(hours=1),)]
    # 35 minutes go by
    site.chain.sql(
        "UPDATE latest_reading l SET observed_at = observed_at - interval '35 minutes', revision = revision + 1"
        " FROM sensor s WHERE s.sensor_id = l.sensor_id AND s.station_id = 'b26-hourly' RETURNING 1"
    )
    assert site.level("b26-hourly")["freshness"] == "fresh"
    assert site.register(f"{folder}/stations.json").returncode == 0
    site.publish(site.lines(f"{folder}/messages.tsv"))
    site.stored("b26-slow", 7)
    assert site.level("b26-slow")["freshness"] == "fresh"
    assert site.alerts("b26-hourly", "silent") == []


def test_28_each_height_has_the_zero_of_its_time(site: Site) -> None:
    folder = "28-zero-that-was-moved"
    assert site.register(f"{folder}/before.json").returncode == 0
    done = site.register(f"{folder}/after.json")
    assert done.returncode == 0, done.stderr
    site.publish(site.lines(f"{folder}/messages.tsv"))
    site.stored("b28-zero", 6)
    datums = [
        (datetime.fromisoformat(d["valid_from"]), d["gauge_zero_tp_m"])
        for d in site.get("/stations/b28-zero")["datums"]
    ]
    points = site.readings("b28-zero", "2026-03-01T00:00:00+09:00", "2026-05-01T00:00:00+09:00")
    heights = [
        round(value + max(d for d in datums if d[0] <= at)[1], 6)
        for at, value in zip(times(points), values(points), strict=True)
        if value is not None
    ]
    assert heights == [3.40] * 6


def test_29_hours_follow_the_stations_clock(site: Site) -> None:
    done = site.replay("29-hours-of-india/levels.csv", "--time-zone", "Asia/Kolkata")
    assert done.returncode == 0, done.stderr
    site.stored("b29-yamuna", 12)
    points = site.readings("b29-yamuna", "2025-09-05T08:00:00+05:30", "2025-09-05T12:00:00+05:30", resolution="hour")
    assert times(points) == [datetime(2025, 9, 5, 3, 30, tzinfo=UTC), datetime(2025, 9, 5, 4, 30, tzinfo=UTC)]
    assert [(p["n"], round(p["mean"], 6)) for p in points] == [(6, 4.125), (6, 4.425)]


def test_32_no_rain_and_no_gauge_look_different(site: Site) -> None:
    folder = "32-no-rain-or-no-gauge"
    assert site.register(f"{folder}/stations.json").returncode == 0
    site.publish(site.lines(f"{folder}/messages.tsv"))
    site.stored("b32-pass", 20)
    site.stored("b32-pass", 10, "rainfall")
    start = (datetime.now(UTC) - timedelta(hours=5)).isoformat()
    points = site.readings("b32-pass", start, quantity="rainfall", resolution="hour")
    assert points
    assert any(not p["complete"] for p in points)


def test_34_other_numbers_for_nothing_are_never_heights(site: Site) -> None:
    folder = "34-other-numbers-for-nothing"
    assert site.register(f"{folder}/stations.json").returncode == 0
    lines = site.lines(f"{folder}/messages.tsv")
    site.publish(lines)
    site.stored("b34-none", 2)
    missing = len(lines) - 2
    site.wait_until(lambda: len(site.refused("b34-none-dev")) == missing, 20, "what is no measurement is in quarantine")
    assert site.level("b34-none")["level_m"] == 1.42
    assert values(site.readings("b34-none", RECENT)) == [1.41, 1.42]
    assert "999" not in site.page("/lite").split("b34-none")[0][-2000:]


def test_35_the_future_is_never_latest(site: Site) -> None:
    folder = "35-value-of-the-far-future"
    assert site.register(f"{folder}/stations.json").returncode == 0
    site.publish(site.lines(f"{folder}/messages.tsv"))
    site.stored("b35-sea", 2)
    site.wait_until(lambda: len(site.refused("b35-sea-dev")) == 2, 20, "the future is in quarantine")
    site.judged()
    assert site.level("b35-sea")["level_m"] == 1.1
    assert site.alerts("b35-sea") == []


def test_37_newest_first_is_put_in_order(site: Site) -> None:
    folder = "37-newest-first"
    assert site.register(f"{folder}/stations.json").returncode == 0
    first, second = site.lines(f"{folder}/messages.tsv")
    site.publish([first])
    site.stored("b37-thrift", 13)
    site.judged()
    site.wait_until(lambda: len(site.told("b37-thrift")) == 2, 60, "both are told")
    assert [event for event, _ in site.told("b37-thrift")] == ["raised", "resolved"]
    site.publish([second])
    site.stored("b37-thrift", 14)
    site.judged()
    (alert,) = site.alerts("b37-thrift")
    assert (alert["flood_level"], alert["state"], alert["peak_m"]) == (3, "resolved", 4.4)
    stay = datetime.fromisoformat(alert["ended_at"]) - datetime.fromisoformat(alert["started_at"])
    assert stay == timedelta(minutes=30)
    assert site.level("b37-thrift")["level_m"] == 2.1


def test_38_silence_is_no_all_clear(site: Site) -> None:
    folder = "38-silence-is-no-all-clear"
    assert site.register(f"{folder}/stations.json").returncode == 0
    site.publish(site.lines(f"{folder}/messages.tsv"))
    site.stored("b38-hush", 3)
    site.judged()
    site.wait_until(lambda: any(a["state"] == "firing" for a in site.alerts("b38-hush")), 20, "level 3 fires")
    # 40 minutes go by without a message
    for table, columns in (
        ("reading", ("observed_at", "received_at")),
        ("latest_reading", ("observed_at", "received_at")),
    ):
        moved = ", ".join(f"{c} = {c} - interval '40 minutes'" for c in columns)
        site.chain.sql(
            f"UPDATE {table} x SET {moved} FROM sensor s WHERE s.sensor_id = x.sensor_id"
            " AND s.station_id = 'b38-hush' RETURNING 1"
        )
    site.wait_until(lambda: site.alerts("b38-hush", "silent"), 120, "the silence has an alert of its own")
    (level,) = site.alerts("b38-hush")
    assert (level["flood_level"], level["state"]) == (3, "firing")
    assert "resolved" not in [event for event, _ in site.told("b38-hush")]
    assert site.level("b38-hush")["freshness"] == "dead"


def test_40_heights_above_the_sea_fail_no_range_that_nobody_registered(site: Site) -> None:
    folder = "40-heights-above-the-sea"
    assert site.register(f"{folder}/stations.json").returncode == 0
    site.publish(site.lines(f"{folder}/messages.tsv"))
    site.stored("b40-ces", 19)
    site.judged()
    points = site.readings("b40-ces", RECENT)
    assert [p["flag"] for p in points] == [1] * 19
    assert any(a["flood_level"] == 4 and a["state"] == "firing" for a in site.alerts("b40-ces"))
    assert site.readings("b40-ces", RECENT, resolution="hour")
    site.wait_until(lambda: site.told("b40-ces"), 60, "people are told")


def test_41_honest_millimetres_are_no_sentinels(site: Site) -> None:
    folder = "41-millimetres-below-zero"
    assert site.register(f"{folder}/stations.json").returncode == 0
    lines = site.lines(f"{folder}/messages.tsv")
    site.publish(lines)
    site.stored("b41-gard", len(lines))
    points = site.readings("b41-gard", RECENT)
    assert [p["flag"] for p in points] == [1] * len(lines)
    assert {-0.999, -0.888} <= set(values(points))
    assert site.refused("b41-box") == []


#: Lower levels may wait for minutes: the cases before have told of many rivers within the same ten.
_UNTOLD_42 = """SELECT count(*) FROM announcement JOIN alert USING (alert_id)
WHERE told_at IS NULL AND station_id = 'b42-ohashi' AND flood_level = 5"""


def test_42_one_doubtful_low_reading_ends_nothing(site: Site) -> None:
    folder = "42-one-low-reading-is-no-all-clear"
    assert site.register(f"{folder}/stations.json").returncode == 0
    lines = site.lines(f"{folder}/messages.tsv")
    for count, line in enumerate(lines, start=1):
        site.publish([line])
        site.stored("b42-ohashi", count)
        site.judged()
        site.wait_until(
            lambda: site.chain.sql(_UNTOLD_42) == [(0,)], 60, "what is to be told of the overflow is told",
        )  # fmt: skip
    level5 = [a for a in site.alerts("b42-ohashi") if a["flood_level"] == 5]
    assert [a["state"] for a in level5] == ["firing"]
    site.wait_until(lambda: site.told("b42-ohashi"), 60, "people are told")
    assert "resolved" not in [event for event, _ in site.told("b42-ohashi")]


def test_every_case_is_tried_here_and_has_its_line_in_the_table(site: Site, pytestconfig: Any) -> None:
    here = {name[5:7] for name in globals() if name.startswith("test_") and name[5:7].isdigit()}
    there = {folder.name[:2] for folder in site.cases.iterdir() if folder.is_dir()}
    assert there <= here
    table = (pytestconfig.rootpath / "docs" / "cases.md").read_text(encoding="utf-8")
    assert all(f"| {number} |" in table for number in here)
