# ruff: noqa: E501 - what is refused, and why, reads best unbroken
"""The operator's own map: what is taken, what is refused and with which advice, and that it is never half there."""

import gzip
import json
import math
import os
import random
import subprocess
import sys
import threading
import time
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kawamori import basemap
from kawamori.basemap import LONGEST_ATTRIBUTION, check, geojson, layers, meets, pmtiles, put, remove
from kawamori.basemap.pmtiles import plain
from kawamori.basemap.stations import outside
from kawamori.errors import ConfigurationError

AREA = [(140.40, 36.40), (140.60, 36.40), (140.60, 36.50), (140.40, 36.50)]


def line(*corners, **properties):
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "LineString", "coordinates": list(corners)},
    }


def collection(*features, **more):
    return json.dumps({"type": "FeatureCollection", "features": features, **more}).encode()


RIVER = line((140.5, 36.4), (140.6, 36.5), waterway="river", name="鴫川", source="survey", width=12)


def slimmed(*features):
    return json.loads(geojson.slim(collection(*features)).content)["features"]


def test_what_styling_needs_stays_and_the_rest_goes():
    (found,) = slimmed(RIVER)
    assert found["properties"] == {"waterway": "river"}
    assert found["geometry"] == {"type": "LineString", "coordinates": [[140.5, 36.4], [140.6, 36.5]]}


def test_heights_points_and_digits_that_nobody_sees_are_left_out():
    found = geojson.slim(
        collection(line((140.50000049, 36.4, 7.5), (140.55, 36.45, 8), (140.6, 36.5, 9)),
                   {"type": "Feature", "properties": None, "geometry": {"type": "Point", "coordinates": [140.5, 36.4]}})
    )  # fmt: skip
    assert json.loads(found.content)["features"][0]["geometry"]["coordinates"] == [[140.5, 36.4], [140.6, 36.5]]
    assert found.bounds == (140.5, 36.4, 140.6, 36.5)
    said = " ".join(found.said)
    assert "2 of 3 corners" in said
    assert "1 points left out" in said
    assert "heights left out" in said


def test_each_form_of_geojson_is_taken():
    shape = {"type": "Polygon", "coordinates": [[*AREA, AREA[0]]]}
    nested = {
        "type": "GeometryCollection",
        "geometries": [shape, {"type": "GeometryCollection", "geometries": [shape]}],
    }
    several = {"type": "MultiLineString", "coordinates": [AREA[:2], AREA[2:]]}
    empty = {"type": "Feature", "properties": {}, "geometry": None}
    for form, parts in (
        (shape, 1),
        (nested, 2),
        (several, 2),
        ({"type": "Feature", "properties": {}, "geometry": shape}, 1),
    ):
        assert len(json.loads(geojson.slim(json.dumps(form).encode()).content)["features"]) == parts
    assert len(slimmed(empty, RIVER)) == 1
    assert geojson.slim(b"\xef\xbb\xbf" + collection(RIVER)).content


@pytest.mark.parametrize(
    ("raw", "advice"),
    [(b"", "not JSON"), (b'{"type": ', "not JSON"), (b"[1]", "not GeoJSON"), (b"{}", "not GeoJSON"), (b'{"type": "Topology"}', "not GeoJSON"),
     (b'{"type": "LineString", "coordinates": "here"}', "not GeoJSON"), (b'{"type": "Line", "coordinates": []}', "not GeoJSON"),
     (b'{"type": "FeatureCollection", "features": [7]}', "not GeoJSON"), ("日本".encode("cp932"), "not JSON"),
     (collection(), "nothing to draw"), (b'{"type": "Point", "coordinates": [140, 36]}', "nothing to draw"),
     (b'{"type": "LineString", "coordinates": []}', "nothing to draw"),
     (collection(line((-12000.5, 34000), (-12001, 34001))), "projected system"), (b'{"type": "LineString", "coordinates": [[1e999, 1], [2, 3]]}', "not JSON"),
     (collection(line((36.4, 140.5), (36.5, 140.6))), "longitude first"),
     (collection(RIVER, crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::6677"}}), "ogr2ogr"),
     (collection(RIVER, crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4301"}}), "ogr2ogr"),
     (collection(RIVER, {**RIVER, "geometry": {"type": "Polygon", "coordinates": [AREA]}}), "geometry 2 of 2"),
     (b"SQLite format 3\x00...", "MBTiles"), (b"\x00\x00\x27\x0a\x00", "shapefile"), (b"PK\x03\x04", "unpack"), (b"<kml>", "XML")],
)  # fmt: skip
def test_what_is_refused_says_what_to_do(raw, advice, tmp_path):
    file = tmp_path / "map.geojson"
    file.write_bytes(raw)
    with pytest.raises(ConfigurationError, match=advice) as told:
        check(file)
    assert str(told.value).startswith(str(file))
    assert "\n" not in str(told.value)


def test_degrees_of_japans_own_system_are_degrees():
    for name in ("urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:EPSG::6668", "EPSG:4326"):
        assert geojson.slim(collection(RIVER, crs={"type": "name", "properties": {"name": name}})).content


def test_what_no_phone_could_load_is_to_be_made_tiles_of():
    chance = random.Random(1)
    many = [line(*((140 + chance.random(), 36 + chance.random()) for _ in range(400))) for _ in range(300)]
    with pytest.raises(ConfigurationError, match="tippecanoe"):
        geojson.slim(collection(*many))


degrees = st.tuples(st.floats(139, 141), st.floats(35, 37))


@settings(max_examples=60, deadline=None)
@given(st.lists(degrees, min_size=2, max_size=40))
def test_no_corner_lies_further_from_the_slim_line_than_anybody_sees(corners):
    try:
        found = slimmed(line(*corners))
    except ConfigurationError:  # all corners at one place
        assert max(math.dist(corners[0], other) for other in corners) < 1e-4
        return
    (kept,) = (one["geometry"]["coordinates"] for one in found)
    assert all(round(c, 5) == c for corner in kept for c in corner)

    def away(p):
        return min(_to_segment(p, a, b) for a, b in pairwise(kept))

    assert max(map(away, corners)) <= geojson.TOLERANCE + 10**-geojson.DIGITS


def _to_segment(p, a, b):
    length = math.dist(a, b) ** 2
    t = 0 if length == 0 else max(0, min(1, sum((p[i] - a[i]) * (b[i] - a[i]) for i in (0, 1)) / length))
    return math.dist(p, [a[i] + t * (b[i] - a[i]) for i in (0, 1)])


def test_tiles_are_taken_with_what_they_say_of_themselves(pmtiles_of, tmp_path):
    found = check(
        pmtiles_of(tmp_path / "a.pmtiles", "water", AREA, attribution='<a href="https://x.jp">© 川&amp;市</a>')
    )
    assert (found.kind, found.min_zoom, found.max_zoom, found.bounds) == ("pmtiles", 8, 12, (140.4, 36.4, 140.6, 36.5))
    assert (found.attribution, found.said) == ("© 川&市", ("vector tiles, zoom 8 to 12",))
    assert "png" in check(pmtiles_of(tmp_path / "b.pmtiles", "p", AREA, picture=b"\x89PNG")).said[0]
    assert plain("a <b>b</b>\n c" + "d" * 300).startswith("a b cd")


@pytest.mark.parametrize(
    ("at", "new", "advice"),
    [(0, b"NoTiles", "not a PMTiles file"), (7, b"\x02", "version 2"), (99, b"\x05", "type 5"), (97, b"\x03", "not gzip"), (98, b"\x04", "not gzip"),
     (64, b"\0" * 8, "empty"), (64, b"\xff" * 6 + b"\0\0", "cut off"), (100, b"\x0d", "zoom levels"), (102, b"\xff\xff\xff\x7f", "no place on Earth")],
)  # fmt: skip
def test_tiles_that_the_page_could_not_draw_are_refused(at, new, advice, pmtiles_of, tmp_path):
    file = pmtiles_of(tmp_path / "a.pmtiles", "water", AREA)
    raw = bytearray(file.read_bytes())
    raw[at : at + len(new)] = new
    file.write_bytes(raw)
    with pytest.raises(ConfigurationError, match=advice):
        check(file)


def test_metadata_that_unfolds_to_more_than_any_maps_is_left_unread():
    packed = gzip.compress(b'{"attribution": "' + b"a" * (64 << 20) + b'"}')
    tracemalloc.start()
    assert pmtiles._metadata(packed, 2) == {}
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()
    assert pmtiles._metadata(gzip.compress(b'{"attribution": "town"}'), 2) == {"attribution": "town"}
    assert pmtiles._metadata(gzip.compress(b'{"attribution": "town"}')[:-12], 2) == {}
    assert pmtiles._metadata(b"[" * 100_000, 1) == {}


def test_an_attribution_of_brackets_takes_no_time_and_an_invisible_one_shows_nothing():
    begun = time.perf_counter()
    assert pmtiles.plain("<" * (4 << 20)) == "<" * LONGEST_ATTRIBUTION
    assert time.perf_counter() - begun < 1
    assert pmtiles.plain("<a href='x'>川守市</a>\u2028\u202e &copy; 2026") == "川守市 © 2026"


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        ('{"type": "FeatureCollection", "features": [', "]}"),
        ('{"type": "GeometryCollection", "geometries": [', "]}"),
        ("[", "]"),
    ],
)
def test_what_is_nested_too_deeply_is_refused_in_a_line(begins, ends, tmp_path):
    file = tmp_path / "deep.geojson"
    file.write_text(begins * 5_000 + ends * 5_000)
    with pytest.raises(ConfigurationError, match=r"not GeoJSON|not JSON"):
        check(file)


def test_a_file_that_was_cut_off_on_its_way_is_refused(pmtiles_of, tmp_path):
    file = pmtiles_of(tmp_path / "a.pmtiles", "water", AREA)
    whole = file.read_bytes()
    for length in (50, 200, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(ConfigurationError, match="cut off"):
            check(file)


@pytest.fixture
def river(tmp_path):
    file = tmp_path / "river.geojson"
    file.write_bytes(collection(RIVER))
    return file


def keep(folder, file, name, attribution=None):
    return put(folder, file, check(file), name=name, attribution=attribution)


def test_a_layer_of_the_same_name_is_replaced_in_its_place_and_its_file_goes(river, pmtiles_of, tmp_path):
    folder = tmp_path / "base"
    first = keep(folder, river, "川", "市")
    keep(folder, pmtiles_of(tmp_path / "a.pmtiles", "water", AREA, attribution="国"), "tiles")
    assert [(one.name, one.attribution) for one in layers(folder)] == [("川", "市"), ("tiles", "国")]
    river.write_bytes(collection(RIVER, RIVER))
    second = keep(folder, river, "川")
    assert [one.name for one in layers(folder)] == ["川", "tiles"]
    assert not (folder / first.file).exists()
    assert (folder / second.file).stat().st_mode & 0o777 == 0o644
    assert remove(folder, "川")
    assert not remove(folder, "川")
    assert sorted(p.suffix for p in folder.iterdir() if not p.name.startswith(".")) == [".json", ".pmtiles"]


def test_two_layers_of_one_content_share_a_file_until_both_are_gone(river, tmp_path):
    folder = tmp_path / "base"
    one, other = keep(folder, river, "a"), keep(folder, river, "b")
    assert one.file == other.file
    remove(folder, "a")
    assert (folder / other.file).exists()


def test_what_is_not_ours_in_the_folder_stays(river, tmp_path):
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "notes.geojson").write_text("mine")
    keep(folder, river, "a")
    remove(folder, "a")
    assert (folder / "notes.geojson").read_text() == "mine"


def test_imports_at_once_lose_nothing(river, tmp_path):
    folder = tmp_path / "base"
    threads = [threading.Thread(target=keep, args=(folder, river, f"layer {n}")) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.name for one in layers(folder)) == sorted(f"layer {n}" for n in range(12))


def test_whoever_reads_during_an_import_finds_a_whole_map(river, tmp_path):
    folder = tmp_path / "base"
    keep(folder, river, "a")
    done = threading.Event()

    def import_again():
        for n in range(30):
            river.write_bytes(collection(*[RIVER] * (1 + n % 3)))
            keep(folder, river, "a")
        done.set()

    writer = threading.Thread(target=import_again)
    writer.start()
    while not done.is_set():
        (found,) = layers(folder)
        assert basemap.FILE.fullmatch(found.file)
    writer.join()


def test_a_broken_list_and_a_folder_that_cannot_be_are_said(river, tmp_path):
    (tmp_path / "layers.json").write_text("[{]")
    with pytest.raises(ConfigurationError, match="KAWAMORI_API__BASEMAP"):
        layers(tmp_path)
    with pytest.raises(ConfigurationError, match="KAWAMORI_API__BASEMAP"):
        keep(river / "below-a-file", river, "a")
    assert layers(tmp_path / "nowhere") == []


def test_a_map_of_elsewhere_is_remarked():
    city = (140.4, 36.3, 140.6, 36.5)
    assert list(outside((140.5, 36.4, 141, 37), city)) == []
    assert list(outside((0, 0, 1, 1), None)) == []
    (said,) = outside((139.0, 35.0, 139.1, 35.1), city)
    assert "no station lies on it" in said
    assert "swapped" not in said
    (said,) = outside((36.4, 80, 36.5, 89), (80, 36.4, 89, 36.5))
    assert "swapped" in said


@given(*[st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))] * 2)
def test_boxes_meet_where_they_share_a_point(a, b):
    one, other = (
        (min(a[::2]), min(a[1::2]), max(a[::2]), max(a[1::2])),
        (min(b[::2]), min(b[1::2]), max(b[::2]), max(b[1::2])),
    )
    shared = any(
        one[0] <= x <= one[2] and one[1] <= y <= one[3] and other[0] <= x <= other[2] and other[1] <= y <= other[3]
        for x in range(10)
        for y in range(10)
    )
    assert meets(one, other) == meets(other, one) == shared


def command(*words, **environment):
    run = subprocess.run(
        [sys.executable, "-m", "kawamori.cli", "basemap", *words], capture_output=True, text=True, check=False,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("KAWAMORI_")}, **environment},
    )  # fmt: skip
    return run.returncode, run.stdout, run.stderr


def test_the_commands_import_list_and_remove(river, pmtiles_of, tmp_path):
    tiles = pmtiles_of(tmp_path / "town.pmtiles", "road", AREA)
    base = {"KAWAMORI_API__BASEMAP": str(tmp_path / "base")}
    code, out, _ = command("import", str(river), "--dry-run")
    assert (code, Path(tmp_path / "base").exists()) == (0, False)
    assert "1 lines and areas" in out
    assert command("import", str(river))[0] == 2
    assert command("import", str(river), str(tiles), "--attribution", "川守市", **base)[0] == 0
    code, out, _ = command("list", "--json", **base)
    assert [(one["name"], one["kind"], one["attribution"]) for one in json.loads(out)] == [
        ("river", "geojson", "川守市"), ("town", "pmtiles", "川守市"),
    ]  # fmt: skip
    code, out, _ = command("remove", "river", **base)
    assert (code, out) == (0, "removed river\n")
    code, _, error = command("remove", "river", **base)
    assert (code, error) == (2, "kawamori: NAME: there is no layer of this name\n")


def test_nothing_is_kept_where_one_file_is_refused(river, tmp_path):
    wrong = tmp_path / "wrong.pmtiles"
    wrong.write_text("no")
    code, _, error = command("import", str(river), str(wrong), KAWAMORI_API__BASEMAP=str(tmp_path / "base"))
    assert (code, error) == (2, f"kawamori: {wrong}: not a PMTiles file\n")
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [(("a.geojson", "b.geojson", "--name", "x"), "--name: is for one file"), (("a.geojson", "x/a.geojson"), "same name"),
     (("a.geojson", "--name", "\n"), "control characters"), (("a.geojson", "--attribution", "a" * 201), "--attribution")],
)  # fmt: skip
def test_a_wrong_word_is_named(words, said):
    code, _, error = command("import", *words)
    assert code == 2
    assert said in error
