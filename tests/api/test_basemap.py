"""The map under the stations: the list, the files in pieces, and the one other host that may be asked."""

import json

import pytest
from pydantic import ValidationError

from api.contract import schemas
from kawamori import basemap
from kawamori.errors import ConfigurationError
from kawamori.settings import ApiSettings, load

pytestmark = pytest.mark.integration
AREA = [(140.40, 36.40), (140.60, 36.40), (140.60, 36.50), (140.40, 36.50)]
TILES = "https://tiles.city.example:8443/pale/{z}/{x}/{y}.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pmtiles_of):
    folder, source = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("source")
    river = source / "river.geojson"
    lines = [{"type": "LineString", "coordinates": [[140.4, 36.4], [140.5, 36.4 + n / 100]]} for n in range(50)]
    river.write_text(json.dumps({"type": "GeometryCollection", "geometries": lines}))
    for file in (river, pmtiles_of(source / "town.pmtiles", "road", AREA, zooms=range(8, 15))):
        basemap.put(folder, file, basemap.check(file), name=file.stem, attribution="川守市")
    return folder


@pytest.fixture(scope="module")
def mapped(serve_again, folder):
    with serve_again(api={"basemap": folder}) as api:
        yield api


def layers(api):
    return schemas.Basemap.model_validate_json(api.get("/basemap").content).layers


def test_the_list_names_what_was_imported(mapped):
    river, town = layers(mapped)
    assert (river.name, river.kind, river.attribution) == ("river", "geojson", "川守市")
    assert river.bounds == (140.4, 36.4, 140.5, 36.89)
    assert (town.name, town.kind, town.min_zoom, town.max_zoom) == ("town", "pmtiles", 8, 14)


def test_a_file_is_kept_for_ever_and_not_sent_twice(mapped):
    river, _ = layers(mapped)
    answer = mapped.http.get(river.url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/geo+json")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.json()["features"]) == 50
    again = mapped.http.get(river.url, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_tiles_are_read_in_pieces_that_are_never_packed(mapped, folder):
    _, town = layers(mapped)
    whole = (folder / town.url.rsplit("/", 1)[-1]).read_bytes()
    for start, end in ((0, 126), (127, 2000), (len(whole) - 1500, len(whole) - 1)):
        answer = mapped.http.get(town.url, headers={"Range": f"bytes={start}-{end}", "Accept-Encoding": "gzip"})
        assert (answer.status_code, answer.content) == (206, whole[start : end + 1])
        assert answer.headers["content-range"] == f"bytes {start}-{end}/{len(whole)}"
        assert "content-encoding" not in answer.headers
    assert mapped.http.get(town.url, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416
    assert mapped.http.head(town.url).headers["content-length"] == str(len(whole))


@pytest.mark.parametrize("name", ["layers.json", ".lock", f"{'0' * 32}.geojson", "..%2flayers.json", "x.pmtiles"])
def test_nothing_else_in_the_folder_is_handed_out(mapped, name):
    assert mapped.http.get(f"/api/v1/basemap/{name}").status_code in (404, 422)


def test_a_layer_that_was_imported_meanwhile_is_there_at_the_next_request(mapped, folder, tmp_path):
    file = tmp_path / "new.geojson"
    file.write_text('{"type": "LineString", "coordinates": [[140, 36], [141, 37]]}')
    basemap.put(folder, file, basemap.check(file), name="new", attribution=None)
    assert [layer.name for layer in layers(mapped)] == ["river", "town", "new"]
    basemap.remove(folder, "new")
    assert [layer.name for layer in layers(mapped)] == ["river", "town"]


def test_without_a_map_and_with_one_that_cannot_be_read_there_is_none(api, serve_again, tmp_path):
    assert api.json("/basemap") == {"layers": [], "tiles": None}
    (tmp_path / "layers.json").write_text("{")
    with serve_again(api={"basemap": tmp_path}) as broken:
        assert broken.json("/basemap") == {"layers": [], "tiles": None}


def test_another_host_is_named_only_where_a_site_has_set_it(api, serve_again):
    assert "https" not in api.get("/site").headers["content-security-policy"]
    with serve_again(api={"tiles_url": TILES, "tiles_attribution": "国土地理院"}) as tiled:
        assert tiled.json("/basemap")["tiles"] == {"url": TILES, "attribution": "国土地理院"}
        policy = dict(
            part.strip().split(" ", 1) for part in tiled.http.get("/").headers["content-security-policy"].split(";")
        )
    assert policy["img-src"] == "'self' data: https://tiles.city.example:8443"
    assert policy["connect-src"] == policy["script-src"] == policy["default-src"] == "'self'"


@pytest.mark.parametrize(
    "url",
    ["http://x.jp/{z}/{x}/{y}.png", "https://x.jp/{z}/{x}.png", "https://x.jp/{z}/{x}/{y}{y}.png", "x",
     "https:///{z}/{x}/{y}", "https://x.jp; script-src *; /{z}/{x}/{y}.png", "https://x.jp/{z}/{x}/{y}\r\nX: y", "https://u@x.jp/{z}/{x}/{y}"],
)  # fmt: skip
def test_a_wrong_template_is_refused(url):
    with pytest.raises(ValidationError):
        ApiSettings(tiles_url=url, tiles_attribution="a")


def test_a_template_without_its_owner_is_one_clear_line(monkeypatch):
    monkeypatch.setenv("KAWAMORI_API__TILES_URL", TILES)
    with pytest.raises(ConfigurationError) as told:
        load()
    assert str(told.value) == (
        "KAWAMORI_API__TILES_ATTRIBUTION: must be set together with KAWAMORI_API__TILES_URL: whose pictures are they?"
    )
    monkeypatch.setenv("KAWAMORI_API__TILES_URL", "here")
    with pytest.raises(ConfigurationError) as told:
        load()
    assert str(told.value) == "KAWAMORI_API__TILES_URL: must be like https://HOST/{z}/{x}/{y}.png"
