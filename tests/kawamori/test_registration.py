"""A sheet on a real database: what is in force, what ends, what stays, and what the audit keeps."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kawamori.domain.reading import StationId
from kawamori.domain.registration.doubts import BUILT_IN
from kawamori.domain.registration.examine import Registration
from kawamori.errors import ConfigurationError
from kawamori.operate.sheet import read_sheet
from kawamori.storage.database import Database
from kawamori.storage.registration import _known, register, register_sheet
from kawamori.storage.registry import SensorPlan, StationPlan, load_registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
BRIDGE = {
    "station_id": "bridge", "name_ja": "橋", "name_en": "Bridge", "river_id": "r", "river_name_ja": "川",
    "river_name_en": "River",
}  # fmt: skip
S2024, S2026 = "2024-06-01T00:00:00+09:00", "2026-06-01T00:00:00+09:00"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


class Desk:
    """Where sheets are imported, on a database of its own."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self._file = database, folder / "sheet.json"

    async def take(
        self, *stations: dict[str, Any], dry_run: bool = False, strict: bool = False, **more: Any
    ) -> Registration:
        """Import these stations, each on top of BRIDGE."""
        whole = [BRIDGE | station for station in stations]
        self._file.write_text(json.dumps({"stations": whole, **more}))
        sheet = read_sheet(self._file)
        return await register_sheet(self.database, sheet, who="unix:tester", dry_run=dry_run, strict=strict)

    async def sql(self, text: str, *parameters: Any) -> list[Any]:
        async with self.database.transaction() as connection:
            cursor = await connection.execute(text, parameters or None)
            return await cursor.fetchall() if cursor.description else []

    async def thresholds(self, when: datetime | None = None, station: str = "bridge") -> dict[int, float]:
        """Level to metres, in force then or now."""
        registry = await load_registry(self.database)
        return {t.level: t.value_m for t in registry.thresholds_at(StationId(station), when or datetime.now(UTC))}

    async def deployed(self) -> list[tuple[Any, ...]]:
        return await self.sql(
            "SELECT device_id, station_id, valid_from, valid_to FROM deployment JOIN sensor USING (sensor_id)"
            " WHERE station_id <> 'kawamori-self-test' ORDER BY valid_from, device_id"
        )

    async def version(self) -> int:
        return (await self.sql("SELECT version FROM registry_version"))[0][0]

    async def audit(self) -> list[tuple[Any, ...]]:
        return await self.sql("SELECT who, subject, subject_id, event, detail FROM audit ORDER BY audit_id")


@pytest.fixture
async def desk(fresh_database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with Database(fresh_database_url, "test", size=2) as database:
        yield Desk(database, tmp_path)


def device(name: str, **more: Any) -> dict[str, Any]:
    return {"quantity": "water_level", "device_id": name, **more}


def said(found: Registration) -> str:
    return "\n".join(str(remark) for remark in found.remarks)


OLD = {"valid_from": S2024, "thresholds": {"1": 2.0, "2": 2.8, "3": 3.8}, "sensors": [device("a", valid_from=S2024)]}
NEW = {"valid_from": S2026, "thresholds": {"2": 3.4, "3": 4.2}, "sensors": [device("a", valid_from=S2024)]}


@pytest.mark.parametrize("order", [(OLD, NEW), (NEW, OLD)], ids=["in order", "out of order"])
async def test_a_later_sheet_ends_the_former_and_the_levels_that_it_does_not_name_whichever_comes_first(desk, order):
    for sheet in order:
        await desk.take(sheet)
    assert await desk.thresholds() == {2: 3.4, 3: 4.2}
    assert await desk.thresholds(at(S2026) - timedelta(seconds=1)) == {1: 2.0, 2: 2.8, 3: 3.8}
    assert await desk.thresholds(at(S2024) - timedelta(seconds=1)) == {}


async def test_it_says_which_level_ends_and_when(desk):
    await desk.take(OLD)
    assert "bridge: thresholds.1: 2 m ends on 2026-05-31 15:00 UTC" in said(await desk.take(NEW))


async def test_history_that_comes_late_leaves_alone_what_a_person_set_since(desk):
    await desk.take(OLD)
    await desk.sql("UPDATE threshold SET valid_to = %s WHERE level = 1", at(S2026))  # taken off by a person, no new row
    await desk.take({"valid_from": "2025-01-01T00:00:00Z", "thresholds": {"1": 1.5, "2": 2.5}})
    assert await desk.thresholds() == {2: 2.8, 3: 3.8}
    assert await desk.thresholds(at("2025-06-01T00:00:00Z")) == {1: 1.5, 2: 2.5}
    assert await desk.thresholds(at("2024-12-01T00:00:00Z")) == {1: 2.0, 2: 2.8, 3: 3.8}


async def test_without_a_date_what_is_new_has_always_been_and_what_changes_does_so_now(desk):
    await desk.take({"thresholds": {"1": 2.0}, "gauge_zero_tp_m": 1.4, "marks": {"crest_left": 6}})
    begun = datetime.now(UTC)
    found = await desk.take({"thresholds": {"1": 2.5}, "gauge_zero_tp_m": 0.4, "marks": {"crest_left": 6}})
    assert (await desk.thresholds(begun - timedelta(days=3000)), await desk.thresholds()) == ({1: 2.0}, {1: 2.5})
    assert "thresholds: change from now on" in said(found)
    assert "gauge_zero_tp_m: moves by -1.000 m" in said(found)
    rows = await desk.sql("SELECT valid_from, gauge_zero_tp_m FROM datum ORDER BY 1")
    assert [zero for _, zero in rows] == [1.4, 0.4]
    assert rows[1][0] >= begun
    assert len(await desk.sql("SELECT 1 FROM mark")) == 1


async def test_the_same_sheet_again_writes_nothing(desk):
    whole = {
        "valid_from": S2024, "gauge_zero_tp_m": 1.4, "marks": {"crest_left": 6.0}, "lon": 140, "lat": 36, "km": 2,
        "thresholds": {"1": 2.0, "2": {"value_m": 2.8, "hold": "PT5M", "consecutive": 2, "keep_firing": "PT10M"}},
        "cross_section": [[0, 5], [5, -1], [9, 5]], "course": [[140, 37], [140, 36]],
        "sensors": [device("a", model="R 7", nothing=[9999, 0], span={"min": 0, "max": 15, "unit": "m"}, noise_m=0.01,
                           report_every_low="P1D", usual_delay="PT40M", limits={"range_max": 9})],
    }  # fmt: skip
    more = {"gateways": ["gw-1"], "models": [{"model": "R 7", "nothing": [-1]}], "devices": [{"device_id": "a"}]}
    assert len((await desk.take(whole, **more)).changes) == 12
    version, lines = await desk.version(), await desk.audit()
    assert not (await desk.take(whole, **more)).changes
    assert not (await desk.take({k: v for k, v in whole.items() if k != "valid_from"}, **more)).changes
    assert (await desk.version(), await desk.audit()) == (version, lines)


async def test_what_a_sheet_does_not_name_stays_as_it_was_set_otherwise(desk):
    await desk.take({"lon": 140, "lat": 36, "ward_ja": "港区", "thresholds": {"1": 2.0}, "sensors": [
        device("a", scale=-1, shift=7, reports="distance", limits={"range_max": 9})]})  # fmt: skip
    await desk.sql("UPDATE sensor SET range_min = -2, noise_m = 0.02, report_every = '1 hour'")
    await desk.sql("UPDATE threshold SET hysteresis_m = 0.3, consecutive = 3")
    await desk.sql("UPDATE deployment SET nothing = '{-1}'")
    await desk.take({"thresholds": {"1": 2.1}, "sensors": [device("a", reports="distance", limits={"spike": 0.2})]})
    assert await desk.sql("SELECT range_min, range_max, spike, noise_m, report_every FROM sensor") == [
        (-2, 9, 0.2, 0.02, timedelta(hours=1))
    ]
    assert await desk.sql("SELECT value_m, hysteresis_m, consecutive FROM threshold WHERE valid_to IS NULL") == [
        (2.1, 0.3, 3)
    ]
    assert await desk.sql("SELECT scale, shift, nothing FROM deployment") == [(-1, 7, [-1])]
    assert await desk.sql("SELECT lon, ward_ja FROM station") == [(140, "港区")]
    await desk.take({"lon": None, "lat": None})
    assert await desk.sql("SELECT lon, ward_ja FROM station") == [(None, "港区")]
    assert await desk.thresholds() == {1: 2.1}


async def test_a_swap_ends_the_former_device_then(desk):
    swapped = "2026-10-01T00:00:00+00:00"
    await desk.take(OLD)
    found = await desk.take(OLD | {"sensors": [device("b", valid_from=swapped)]})
    assert await desk.deployed() == [("a", "bridge", at(S2024), at(swapped)), ("b", "bridge", at(swapped), None)]
    assert "sensors.0.device_id: a measured here: that ends on 2026-10-01 00:00 UTC" in said(found)
    before = await desk.deployed()
    await desk.take(OLD)  # the former sheet once more is history, and changes nothing that is in force
    assert await desk.deployed() == before


async def test_the_sheet_from_before_a_swap_once_more_changes_nothing_though_its_sensor_has_no_date(desk):
    await desk.take({"valid_from": S2024, "sensors": [device("a")]})
    await desk.take({"valid_from": S2024, "sensors": [device("b", valid_from="2026-10-01T00:00:00Z")]})
    assert not (await desk.take({"valid_from": S2024, "sensors": [device("a")]})).changes


async def test_sheets_of_a_swap_that_come_out_of_order_come_to_the_same(desk):
    swapped = "2026-10-01T00:00:00+00:00"
    await desk.take(OLD | {"sensors": [device("b", valid_from=swapped)]})
    await desk.take(OLD)
    assert await desk.deployed() == [("a", "bridge", at(S2024), at(swapped)), ("b", "bridge", at(swapped), None)]


@pytest.mark.parametrize("dated", [{}, {"valid_from": S2024}])
async def test_a_new_device_without_a_date_takes_no_history(desk, dated):
    await desk.take(dated | {"sensors": [device("a")]})
    begun = datetime.now(UTC)
    found = await desk.take(dated | {"sensors": [device("b")]})
    (first, second) = await desk.deployed()
    assert first[0] == "a"
    assert first[3] == second[2] >= begun
    assert "sensors.0.valid_from: b measures here from now on" in said(found)


async def test_a_device_that_is_moved_is_named_with_the_place_it_leaves(desk):
    await desk.take({"sensors": [device("a")]})
    begun = datetime.now(UTC)
    found = await desk.take({"station_id": "ford", "name_ja": "渡", "sensors": [device("a")]})
    assert "ford: sensors.0.device_id: a measured at bridge (water_level): that ends on" in said(found)
    ((_, _, _, left), (_, here, came, _)) = await desk.deployed()
    assert (here, came) == ("ford", left)
    assert left >= begun


async def test_a_replacement_for_a_while_gives_the_place_back(desk):
    await desk.take({"sensors": [device("a", valid_from="2024-01-01T00:00:00Z")]})
    await desk.take({"sensors": [device("b", valid_from="2025-01-01T00:00:00Z", valid_to="2025-02-01T00:00:00Z")]})
    assert [(row[0], str(row[2].date()), row[3] and str(row[3].date())) for row in await desk.deployed()] == [
        ("a", "2024-01-01", "2025-01-01"), ("b", "2025-01-01", "2025-02-01"), ("a", "2025-02-01", None),
    ]  # fmt: skip


async def test_a_dated_change_of_the_mounting_begins_a_deployment_of_its_own(desk):
    await desk.take({"sensors": [device("a", shift=7.0)]})
    assert "shift: 7 becomes 7.1 for all" in said(await desk.take({"sensors": [device("a", shift=7.1)]}))
    await desk.take({"sensors": [device("a", shift=7.2, valid_from=S2026)]})
    assert await desk.sql("SELECT shift, valid_to FROM deployment ORDER BY valid_from") == [
        (7.1, at(S2026)), (7.2, None),
    ]  # fmt: skip


async def test_what_is_retired_ends_and_comes_back_only_when_told_to(desk):
    await desk.take({"sensors": [device("a", valid_from=S2024)]}, gateways=["g1"])
    gone = "2026-11-01T00:00:00+00:00"
    await desk.take({"retired": gone}, gateways=[{"gateway_id": "g1", "retired": gone}])
    assert await desk.deployed() == [("a", "bridge", at(S2024), at(gone))]
    registry = await load_registry(desk.database)
    assert [sensor.retired_at for sensor in registry.sensors.values()] == [at(gone)]
    assert "g1" not in registry.gateways
    again = await desk.take({"sensors": [device("a")]}, gateways=["g1"])
    assert not again.changes
    assert "sensors.0.retired: is retired since 2026-11-01 00:00 UTC and stays so" in said(again)
    await desk.take({"retired": False, "sensors": [device("a")]}, gateways=[{"gateway_id": "g1", "retired": False}])
    assert (await desk.sql("SELECT retired_at FROM sensor"), len(await desk.deployed())) == ([(None,)], 2)
    assert "g1" in (await load_registry(desk.database)).gateways


async def test_a_retired_device_ends_wherever_it_is_and_stands_nowhere_until_it_is_back(desk):
    await desk.take({"sensors": [device("a")]})
    await desk.take(devices=[{"device_id": "a", "retired": True}])
    ((_, _, _, ended),) = await desk.deployed()
    assert ended is not None
    with pytest.raises(ConfigurationError, match=r"bridge: sensors\.0\.device_id: a is retired since"):
        await desk.take({"sensors": [device("a")]})
    await desk.take({"sensors": [device("a")]}, devices=[{"device_id": "a", "retired": False}])
    assert len(await desk.deployed()) == 2


async def test_a_mark_ends_when_the_sheet_says_so_and_not_by_silence(desk):
    await desk.take({"marks": {"crest_left": 6.0, "crest_right": 5.0}})
    assert "marks.crest_right: 5 m stays" in said(await desk.take({"marks": {"crest_left": 6.0}}))
    await desk.take({"marks": {"crest_right": None}})
    station = (await load_registry(desk.database)).stations[StationId("bridge")]
    assert (station.crest_left_m, station.crest_right_m, station.crest_m) == (6.0, None, 6.0)


async def test_every_change_is_in_the_audit_with_who_and_what_was_before(desk):
    await desk.take(OLD)
    await desk.take(NEW)
    lines = await desk.audit()
    assert {who for who, *_ in lines} == {"unix:tester"}
    of_level_2 = [
        (event, detail) for _, subject, id_, event, detail in lines if (subject, id_) == ("threshold", "bridge/2")
    ]
    assert [event for event, _ in of_level_2] == ["added", "ended", "added"]
    assert of_level_2[1][1]["before"]["valid_to"] is None
    assert at(of_level_2[1][1]["after"]["valid_to"]) == at(S2026)


async def test_a_dry_run_says_the_same_and_writes_nothing(desk):
    await desk.take(OLD)
    before = (await desk.version(), await desk.audit(), await desk.thresholds())
    dry = await desk.take(NEW, dry_run=True)
    assert (await desk.version(), await desk.audit(), await desk.thresholds()) == before
    assert said(dry) == said(await desk.take(NEW))


async def test_what_is_doubtful_is_refused_when_that_is_asked_for(desk):
    await desk.take(OLD)
    with pytest.raises(ConfigurationError, match=r"warning: bridge: thresholds\.1: 2 m ends"):
        await desk.take(NEW, strict=True)
    assert await desk.thresholds() == {1: 2.0, 2: 2.8, 3: 3.8}


async def test_only_what_is_missing_is_added_where_what_is_registered_is_to_be_kept(desk):
    await desk.take(OLD | {"lon": 140, "lat": 36, "sensors": [device("a", report_every="PT1H", valid_from=S2024)]})
    before = (await desk.version(), await desk.thresholds())
    since, until = datetime(2025, 9, 1, tzinfo=UTC), datetime(2025, 9, 2, tzinfo=UTC)

    def plan(name: str, **more: Any) -> StationPlan:
        sensor = SensorPlan(
            quantity="water_level", device_id=f"replay-{name}", valid_from=since, valid_to=until, **more
        )
        return StationPlan(
            station_id=name, name_ja=f"再生{name}", name_en=name, river_id="replay", river_name_ja="再生",
            river_name_en="Replay", valid_from=since, thresholds={1: 9.0}, sensors=(sensor,),
        )  # fmt: skip

    found = await register(desk.database, [plan("bridge"), plan("other")], keep_registered=True)
    assert found.known == {"bridge"}
    assert (await desk.thresholds(), await desk.thresholds(station="other")) == (before[1], {1: 9.0})
    assert await desk.sql("SELECT name_ja, river_id, lon FROM station WHERE station_id = 'bridge'") == [
        ("橋", "r", 140)
    ]
    assert await desk.sql("SELECT report_every FROM sensor ORDER BY sensor_id LIMIT 1") == [(timedelta(hours=1),)]
    assert ("a", "bridge", at(S2024), None) in await desk.deployed()
    assert ("replay-bridge", "bridge", since, until) in await desk.deployed()
    version = await desk.version()
    assert not (await register(desk.database, [plan("bridge"), plan("other")], keep_registered=True)).changes
    assert await desk.version() == version
    later = StationPlan(
        **{f: getattr(plan("bridge"), f) for f in StationPlan.__slots__ if f != "sensors"}
        | {
            "sensors": (
                SensorPlan(quantity="water_level", device_id="replay-bridge", valid_from=since - timedelta(days=1)),
            )
        }
    )
    await register(desk.database, [later], keep_registered=True)
    spans = [(row[2], row[3]) for row in await desk.deployed() if row[0] == "replay-bridge"]
    assert spans == [(since - timedelta(days=1), since), (since, until), (until, None)]


async def test_limits_and_thresholds_are_held_against_what_was_measured_lately(desk):
    await desk.take({"thresholds": {"1": 2.0}, "sensors": [device("a")]})
    await desk.sql(
        "INSERT INTO reading_hour (sensor_id, bucket, n, sum_micro, min, max)"
        " SELECT sensor_id, date_trunc('hour', now()) - interval '5 hours', 6, 6000000, 0.5, 1.5 FROM sensor"
    )
    limits = {"range_min": 0.8, "range_max": 1.2}
    words = said(await desk.take({"thresholds": {"1": 0.2, "2": 61.5}, "sensors": [device("a", limits=limits)]}))
    for line in (
        "bridge: sensors.0.limits.range_max: 1.2 would fail what was measured in the last days (up to 1.5)",
        "bridge: sensors.0.limits.range_min: 0.8 would fail",
        "bridge: thresholds.1: the water has stood above 0.2 m all week",
        "bridge: thresholds.2: 61.5 m lies far above what was measured lately (at most 1.5 m)",
        "bridge: thresholds.2: 61.5 m lies above range_max (1.2 m)",
    ):
        assert line in words


async def test_the_units_and_quantities_that_are_known_without_a_database_are_the_databases(desk):
    async with desk.database.transaction() as connection:
        from kawamori.domain.registration.plans import Sheet

        known = await _known(connection, Sheet(), datetime.now(UTC))
    assert (known.units, known.quantities) == (BUILT_IN.units, BUILT_IN.quantities)


async def test_a_thousand_stations_are_registered_in_seconds(desk):
    plans = [
        StationPlan(
            station_id=f"s{n}", name_ja=f"{n}橋", name_en=f"{n}", river_id="r", river_name_ja="川", river_name_en="r",
            valid_from=at(S2024), thresholds={1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0}, marks={"crest_left": 6.0},
            sensors=(SensorPlan(quantity="water_level", device_id=f"d{n}", valid_from=at(S2024)),),
        )
        for n in range(1000)
    ]  # fmt: skip
    begun = asyncio.get_running_loop().time()
    assert (await register(desk.database, plans)).changes
    assert not (await register(desk.database, plans)).changes
    assert asyncio.get_running_loop().time() - begun < 30


def command() -> Callable[..., Any]:
    from typer.testing import CliRunner

    from kawamori.cli import app

    return lambda *words, **environment: CliRunner().invoke(app, words, env=environment)


def test_the_command_writes_who_did_it_and_warns_on_the_other_stream(fresh_database_url, tmp_path):
    import psycopg

    file = tmp_path / "stations.json"
    file.write_text(json.dumps([BRIDGE | {"sensors": [device("a")]}]))
    run = command()
    done = run("station", "import", str(file), KAWAMORI_DATABASE_URL=fresh_database_url)
    assert done.exit_code == 0, done.output
    assert "warning: bridge: thresholds: there are none" in done.stderr
    assert "warning" not in done.stdout
    with psycopg.connect(fresh_database_url) as connection:
        assert connection.execute("SELECT DISTINCT left(who, 5) FROM audit").fetchall() == [("unix:",)]
    strict = run("station", "import", str(file), "--strict", "--dry-run", KAWAMORI_DATABASE_URL=fresh_database_url)
    assert strict.exit_code == 2


@pytest.mark.parametrize("url", ["", "postgresql://nobody@127.0.0.1:9/none"])
def test_a_dry_run_without_a_database_says_so_and_checks_what_it_can(tmp_path, url):
    file = tmp_path / "stations.json"
    file.write_text(json.dumps([BRIDGE | {"thresholds": {"1": 2}, "sensors": [device("a", reports="depth_of_sea")]}]))
    done = command()("station", "import", str(file), "--dry-run", **({"KAWAMORI_DATABASE_URL": url} if url else {}))
    assert done.exit_code == 2
    assert "no database was asked" in done.stderr
    assert "bridge: sensors.0.reports: 'depth_of_sea' is no quantity; known are discharge, distance" in done.stderr
