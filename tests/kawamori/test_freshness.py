"""How old a number may be, and which link of the chain is silent: ours, a gateway, or the sensor alone."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kawamori.domain.freshness import (
    GATEWAY_SILENT_AFTER,
    INGEST_SILENT_AFTER,
    GatewayLink,
    Links,
    Silence,
    freshness,
    server_behind,
    silent_link,
)

NOW = datetime(2026, 7, 14, 2, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ago = st.integers(0, 7200).map(lambda s: NOW - s * SECOND)
gateway = st.builds(GatewayLink, seen_at=ago, backlog=st.integers(0, 10_000), held_since=st.none() | ago)
gateways = st.dictionaries(st.sampled_from(["west", "east", "hill"]), gateway)
links = st.builds(Links, ingest_seen=st.none() | ago, gateways=gateways)
ways = st.none() | st.sampled_from(["west", "east", "gone"])


VECTORS = json.loads((Path(__file__).parents[1] / "contracts/freshness.json").read_text())["vectors"]


@pytest.mark.parametrize("given", VECTORS)
def test_a_number_is_judged_as_the_page_judges_it(given):
    age = None if given["age_s"] is None else given["age_s"] * SECOND
    assert freshness(age, given["interval_s"] * SECOND) == given["freshness"]


def well(**change) -> Links:
    facts = {"ingest_seen": NOW, "gateways": {"west": GatewayLink(NOW), "east": GatewayLink(NOW)}}
    return Links(**facts | change)


def test_with_all_links_well_it_is_the_sensor():
    assert silent_link("west", well(), NOW) is Silence.SENSOR


def test_a_silent_gateway_is_blamed_for_its_own_sensors_alone():
    dark = well(gateways={"west": GatewayLink(NOW - timedelta(minutes=5)), "east": GatewayLink(NOW)})
    assert silent_link("west", dark, NOW) is Silence.GATEWAY
    assert silent_link("east", dark, NOW) is Silence.SENSOR
    assert silent_link(None, dark, NOW) is Silence.SENSOR


@given(links, ways)
def test_while_ingest_is_away_nothing_else_is_blamed(found, way):
    away = replace(found, ingest_seen=NOW - INGEST_SILENT_AFTER - SECOND)
    assert silent_link(way, away, NOW) is Silence.SERVER


@given(links, ways)
def test_a_gateway_whose_rows_are_not_committed_waits_for_us_whatever_the_others_do(found, way):
    held = NOW - INGEST_SILENT_AFTER
    moving = {name: one._replace(held_since=None) for name, one in found.gateways.items()}
    stuck = Links(ingest_seen=NOW, gateways=moving | {"west": GatewayLink(NOW, 1, held - SECOND)})
    assert silent_link("west", stuck, NOW) is Silence.SERVER
    if way in moving and way != "west":
        assert silent_link(way, stuck, NOW) is not Silence.SERVER, "another gateway's rows go on"
    draining = Links(ingest_seen=NOW, gateways=moving | {"west": GatewayLink(NOW, 9_999, held)})
    assert silent_link("west", draining, NOW) is Silence.SENSOR, "a backlog that drains is no fault"
    assert silent_link(way, draining, NOW) is not Silence.SERVER


@given(links, ways)
def test_no_station_waits_for_the_server_unless_the_server_is_called_behind(found, way):
    if silent_link(way, found, NOW) is Silence.SERVER:
        assert server_behind(found, NOW)
    if not found.gateways and not server_behind(found, NOW):
        assert silent_link(way, found, NOW) is Silence.SENSOR


@given(links)
def test_a_server_that_is_behind_keeps_some_gateways_stations_waiting(found):
    blamed = {silent_link(way, found, NOW) for way in (None, *found.gateways)}
    assert server_behind(found, NOW) == (Silence.SERVER in blamed)


@given(links, ways)
def test_a_gateway_that_is_heard_is_never_called_silent(found, way):
    answer = silent_link(way, found, NOW)
    known = {way} & set(found.gateways) or set(found.gateways)
    heard = any(NOW - found.gateways[name].seen_at <= GATEWAY_SILENT_AFTER for name in known)
    if answer is Silence.GATEWAY:
        assert known
        assert not heard
