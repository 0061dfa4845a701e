"""GeoJSON (RFC 7946), made slim: flat, simplified, rounded, without what the page does not draw."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import shapely

from kawamori.basemap import Bounds, Checked
from kawamori.errors import ConfigurationError

#: Five digits are about a metre; what is moved by less than two metres is not seen at the finest scale.
DIGITS, TOLERANCE = 5, 2e-5
#: A phone must load it whole, beside the levels; a larger map goes in tiles.
LARGEST = 2_000_000
LARGEST_SOURCE = 256_000_000
#: What tells water from road, in the words of OpenStreetMap, OpenMapTiles and Japan's base map (基盤地図情報).
KEPT = (
    "kind", "class", "type", "waterway", "natural", "water", "highway", "railway", "boundary", "building", "landuse",
    "leisure",
)  # fmt: skip
_LONGEST_VALUE = 40
#: Degrees by other names: WGS 84, and JGD2000 and JGD2011, which differ from it by less than a metre on a map.
_DEGREES = ("CRS84", "4326", "4612", "6668", "OGC:1.3:CRS84")
_ADVICE = "make tiles of it: tippecanoe -zg --drop-densest-as-needed -o MAP.pmtiles FILE, and import MAP.pmtiles"
_REPROJECT = "ogr2ogr -t_srs EPSG:4326 NEW.geojson FILE"
_NOTHING = "no line and no area is in it: there is nothing to draw"
_NOT_JSON = (
    (
        b"SQLite format 3",
        "it is an MBTiles or GeoPackage file: make PMTiles or GeoJSON of it (pmtiles convert, ogr2ogr)",
    ),
    (b"\x00\x00\x27\x0a", f"it is a shapefile: {_REPROJECT}"),
    (b"PK\x03\x04", "it is a ZIP archive: unpack it"),
    (b"<", "it is XML; the map must be GeoJSON or PMTiles: ogr2ogr -t_srs EPSG:4326 NEW.geojson FILE"),
)


def check(file: Path) -> Checked:
    """Read, test and slim a file; raises ConfigurationError that says what to do about it."""
    if file.stat().st_size > LARGEST_SOURCE:
        raise ConfigurationError(f"{file}: larger than {LARGEST_SOURCE // 1_000_000} MB: {_ADVICE}")
    try:
        return slim(file.read_bytes())
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {error}") from None
    except RecursionError:
        raise ConfigurationError(f"{file}: not GeoJSON: collections lie in each other too deeply") from None


def slim(raw: bytes) -> Checked:
    """The map in few bytes; raises ConfigurationError."""
    found = list(_features(_decoded(raw)))
    if not found:
        raise ConfigurationError(_NOTHING)
    shapes, properties = _shapes(found)
    parts, owner = shapely.get_parts(shapes, return_index=True)
    # what is within a collection may be one itself
    parts, inner = shapely.get_parts(parts, return_index=True)
    owner = owner[inner]
    drawn = shapely.get_dimensions(parts) >= 1
    points = int((~drawn & ~shapely.is_empty(parts)).sum())
    parts, owner = parts[drawn], owner[drawn]
    _in_degrees(parts)
    before = int(shapely.get_num_coordinates(parts).sum())
    flat = shapely.transform(shapely.simplify(shapely.force_2d(parts), TOLERANCE), lambda xy: np.round(xy, DIGITS))
    seen = ~shapely.is_empty(flat)
    flat, owner = flat[seen], owner[seen]
    if not len(flat):
        raise ConfigurationError(_NOTHING)
    features = [
        {"type": "Feature", "properties": properties[of], "geometry": shapely.geometry.mapping(shape)}
        for shape, of in zip(flat, owner, strict=True)
    ]
    content = msgspec.json.encode({"type": "FeatureCollection", "features": features})
    if len(content) > LARGEST:
        raise ConfigurationError(
            f"{len(content) / 1e6:.1f} MB even when slimmed, and phones can load {LARGEST / 1e6:g} MB: {_ADVICE}"
        )
    after = int(shapely.get_num_coordinates(flat).sum())
    said = [
        f"{len(flat)} lines and areas, {after} of {before} corners, {len(content) / 1e3:.0f} kB of {len(raw) / 1e3:.0f}"
    ]
    if points:
        said.append(f"{points} points left out: the page draws lines and areas")
    if shapely.has_z(shapes).any():
        said.append("heights left out")
    west, south, east, north = (float(edge) for edge in shapely.total_bounds(flat))
    bounds: Bounds = (west, south, east, north)
    return Checked(kind="geojson", min_zoom=0, max_zoom=22, bounds=bounds, content=content, said=said)


def _decoded(raw: bytes) -> Any:
    for begins, what in _NOT_JSON:
        if raw.lstrip().startswith(begins) or raw.startswith(begins):
            raise ConfigurationError(f"not JSON: {what}")
    try:
        return msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"not JSON: {error}") from None
    except UnicodeDecodeError:
        raise ConfigurationError("not JSON in UTF-8: save it as UTF-8") from None


def _features(found: Any) -> Iterator[tuple[Any, Mapping[str, str]]]:
    """Geometry and what styling needs, of whatever form of GeoJSON it is."""
    form = found.get("type") if isinstance(found, dict) else None
    if form == "FeatureCollection" and isinstance(found.get("features"), list):
        _known_crs(found)
        for feature in found["features"]:
            yield from _features(feature)
    elif form == "Feature":
        if found.get("geometry") is not None:
            yield found["geometry"], _kept(found.get("properties"))
    elif isinstance(form, str) and ("coordinates" in found or "geometries" in found):
        yield found, {}
    else:
        raise ConfigurationError("not GeoJSON: it must be a FeatureCollection, a Feature or a geometry")


def _kept(properties: Any) -> dict[str, str]:
    if not isinstance(properties, dict):
        return {}
    return {k: v[:_LONGEST_VALUE] for k in KEPT if isinstance(v := properties.get(k), str) and v}


def _known_crs(found: Mapping[str, Any]) -> None:
    """Old files name their system; one that is not in degrees of longitude and latitude would lie elsewhere."""
    match found.get("crs"):
        case {"properties": {"name": str(name)}} if not name.endswith(_DEGREES):
            raise ConfigurationError(f"its coordinates are in {name[:60]!r}, not in WGS 84: {_REPROJECT}")
        case _:
            pass


def _shapes(found: list[tuple[Any, Mapping[str, str]]]) -> tuple[Any, list[Mapping[str, str]]]:
    written = [msgspec.json.encode(geometry) for geometry, _ in found]
    try:
        shapes = shapely.from_geojson(written)
    except (shapely.errors.ShapelyError, ValueError):
        number, why = next(_wrong(written))
        raise ConfigurationError(f"not GeoJSON: geometry {number} of {len(written)}: {why}") from None
    return shapes, [properties for _, properties in found]


def _wrong(written: list[bytes]) -> Iterator[tuple[int, str]]:
    """The geometries that are none, counted from 1, and why."""
    for number, one in enumerate(written, 1):
        try:
            shapely.from_geojson(one)
        except (shapely.errors.ShapelyError, ValueError) as error:
            yield number, str(error).splitlines()[0].rpartition("Exception: ")[2][:200]


def _in_degrees(shapes: Any) -> None:
    """Raise ConfigurationError where the coordinates are no longitudes and latitudes."""
    for x, y in _outliers(shapely.get_coordinates(shapes)):
        where = f"a corner at ({x:g}, {y:g}) is not at a longitude and latitude"
        if abs(x) <= 90 and 90 < abs(y) <= 180:
            raise ConfigurationError(f"{where}: GeoJSON wants the longitude first")
        raise ConfigurationError(
            f"{where}: the file seems to be in metres of a projected system (平面直角座標系, UTM): {_REPROJECT}"
        )


def _outliers(corners: Any) -> Any:
    wrong = ~((np.abs(corners[:, 0]) <= 180) & (np.abs(corners[:, 1]) <= 90))
    return corners[wrong][:1]
