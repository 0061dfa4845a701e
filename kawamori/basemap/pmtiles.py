"""PMTiles version 3: a pyramid of map tiles in one file, read in pieces. (github.com/protomaps/PMTiles, spec/v3)"""

import html
import json
import re
import struct
import zlib
from pathlib import Path

from kawamori.basemap import LONGEST_ATTRIBUTION, Bounds, Checked
from kawamori.errors import ConfigurationError

MAGIC = b"PMTiles"
#: Version, six offsets and lengths, three counts, six single bytes, bounds in 1e-7 degrees.
_HEADER = struct.Struct("<7sB11Q6B4i")
_LENGTH = 127
_TILES = {1: "vector", 2: "png", 3: "jpeg", 4: "webp"}
_NONE, _GZIP = 1, 2
_DEEPEST = 24
#: Metadata beyond this is no map's, packed or unpacked: four megabytes of gzip may unfold to four gigabytes.
_LARGEST_METADATA = 4 << 20
#: Characters of an attribution that are looked at, markup included: longer ones do not occur.
_LONGEST_MARKUP = 20_000
_GZIP_WINDOW = 31


def check(file: Path) -> Checked:
    """Look whether a file holds tiles that the page can draw; raises ConfigurationError that says why not."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        begins = opened.read(_LENGTH)
        if begins[: len(MAGIC)] != MAGIC:
            raise ConfigurationError(f"{file}: not a PMTiles file")
        if len(begins) < _LENGTH:
            raise ConfigurationError(f"{file}: is cut off: the header is not whole")
        (_, version, root_at, root, meta_at, meta, leaf_at, leaf, data_at, data, _, _, _, _, inner, outer, kind, low,
         high, *corners) = _HEADER.unpack_from(begins)  # fmt: skip
        if version != 3:
            raise ConfigurationError(f"{file}: PMTiles version {version}; needed is version 3 (`pmtiles convert`)")
        if kind not in _TILES:
            raise ConfigurationError(f"{file}: tiles of type {kind}; the page draws MVT, PNG, JPEG and WebP")
        # 0 is "unknown": of pictures it says nothing, since they bring their own compression
        if inner not in (_NONE, _GZIP) or outer not in (_NONE, _GZIP, *((0,) if kind > 1 else ())):
            raise ConfigurationError(f"{file}: its compression is not gzip: browsers cannot read it")
        if data == 0 or root == 0:
            raise ConfigurationError(f"{file}: is empty: there is no tile in it")
        if max(root_at + root, meta_at + meta, leaf_at + leaf, data_at + data) > size:
            raise ConfigurationError(f"{file}: is cut off: {size} bytes are not all")
        if not low <= high <= _DEEPEST:
            raise ConfigurationError(f"{file}: zoom levels {low} to {high} cannot be")
        west, south, east, north = (corner / 1e7 for corner in corners)
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise ConfigurationError(f"{file}: its bounds {west}, {south}, {east}, {north} are no place on Earth")
        opened.seek(meta_at)
        metadata = _metadata(opened.read(min(meta, _LARGEST_METADATA)), inner)
    bounds: Bounds = (west, south, east, north)
    said = f"{_TILES[kind]} tiles, zoom {low} to {high}"
    credit = metadata.get("attribution")
    return Checked(
        kind="pmtiles", min_zoom=low, max_zoom=high, bounds=bounds, said=(said,),
        attribution=plain(credit) if isinstance(credit, str) else "",
    )  # fmt: skip


def plain(text: str) -> str:
    """An attribution without its markup and without invisible characters: the page shows words only."""
    words = html.unescape(re.sub(r"<[^<>]*>", "", text[:_LONGEST_MARKUP]))
    seen = "".join(c for c in words if c.isprintable() or c.isspace())
    return " ".join(seen.split())[:LONGEST_ATTRIBUTION]


def _metadata(raw: bytes, compression: int) -> dict[str, object]:
    """What the file tells of itself; a file that tells nothing, or too much, is drawn all the same."""
    try:
        if compression == _GZIP:
            raw = zlib.decompressobj(_GZIP_WINDOW).decompress(raw, _LARGEST_METADATA)
        found = json.loads(raw)
    except (ValueError, zlib.error, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
