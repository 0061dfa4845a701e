"""What lies around the demo city's rivers, for the map under them: bay, roads, railway, a boundary. Fictitious."""

from typing import Any

Line = tuple[tuple[float, float], ...]

_BAY: Line = (
    (140.566, 36.350), (140.571, 36.372), (140.569, 36.386), (140.577, 36.398), (140.580, 36.411), (140.588, 36.428),
    (140.590, 36.452), (140.603, 36.474), (140.606, 36.530), (140.680, 36.530), (140.680, 36.350), (140.566, 36.350),
)  # fmt: skip
_ROADS: dict[str, tuple[Line, ...]] = {
    "trunk": (
        ((140.536, 36.350), (140.536, 36.377), (140.531, 36.393), (140.535, 36.412), (140.540, 36.427),
         (140.552, 36.448), (140.561, 36.478), (140.563, 36.530)),
        ((140.380, 36.442), (140.430, 36.440), (140.472, 36.425), (140.512, 36.414), (140.535, 36.412),
         (140.566, 36.405)),
    ),
    "primary": (
        ((140.398, 36.514), (140.420, 36.496), (140.440, 36.484), (140.470, 36.467), (140.499, 36.452),
         (140.530, 36.441), (140.552, 36.448)),
        ((140.420, 36.408), (140.466, 36.405), (140.500, 36.402), (140.531, 36.393), (140.566, 36.380)),
        ((140.490, 36.530), (140.497, 36.487), (140.495, 36.447), (140.490, 36.418), (140.496, 36.396),
         (140.490, 36.350)),
    ),
    "tertiary": (
        ((140.448, 36.510), (140.463, 36.463), (140.460, 36.430), (140.466, 36.400), (140.460, 36.350)),
        ((140.522, 36.436), (140.517, 36.414), (140.524, 36.393), (140.520, 36.350)),
        ((140.497, 36.487), (140.530, 36.480), (140.561, 36.478)),
        ((140.551, 36.424), (140.556, 36.405), (140.560, 36.388)),
    ),
}  # fmt: skip
_RAILWAY: Line = (
    (140.507, 36.350), (140.511, 36.380), (140.514, 36.394), (140.512, 36.420), (140.509, 36.443), (140.520, 36.470),
    (140.541, 36.500), (140.545, 36.530),
)  # fmt: skip
_BOUNDARY: Line = (
    (140.380, 36.452), (140.440, 36.452), (140.482, 36.434), (140.508, 36.424), (140.545, 36.420), (140.577, 36.398),
)  # fmt: skip


def layers() -> dict[str, dict[str, Any]]:
    """Each layer as GeoJSON (WGS 84), by its name."""
    roads = [_feature("LineString", line, highway=kind) for kind, lines in _ROADS.items() for line in lines]
    return {
        "sea": _collection([_feature("Polygon", _BAY, natural="water")]),
        "roads": _collection(roads),
        "railway": _collection([_feature("LineString", _RAILWAY, railway="rail")]),
        "boundary": _collection([_feature("LineString", _BOUNDARY, boundary="administrative")]),
    }


def _feature(shape: str, line: Line, **properties: str) -> dict[str, Any]:
    coordinates = [line] if shape == "Polygon" else line
    return {"type": "Feature", "properties": properties, "geometry": {"type": shape, "coordinates": coordinates}}


def _collection(features: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": features}
