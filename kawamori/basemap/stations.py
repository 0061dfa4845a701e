"""Check at import that a map lies where the stations are."""

import asyncio
from collections.abc import Iterator

from kawamori.basemap import Bounds, meets
from kawamori.errors import StorageRefused, StorageUnavailable
from kawamori.settings import Settings


def stations_box(settings: Settings) -> Bounds | None:
    """Return the bounding box of all stations in degrees; None where there are none, or no database answers."""
    from kawamori.storage.database import Database
    from kawamori.storage.registry import load_registry

    if settings.database_url is None:
        return None

    async def read() -> list[tuple[float, float]]:
        async with Database(settings.database(), "basemap", size=1) as database:
            found = (await load_registry(database)).stations.values()
        return [(s.lon, s.lat) for s in found if s.lon is not None and s.lat is not None and not s.internal]

    try:
        places = asyncio.run(read())
    except (StorageUnavailable, StorageRefused):
        return None
    if not places:
        return None
    lons, lats = zip(*places, strict=True)
    return (min(lons), min(lats), max(lons), max(lats))


def outside(bounds: Bounds, box: Bounds | None) -> Iterator[str]:
    """What to say of a map that no station lies on. Pure."""
    if box is None or meets(bounds, box):
        return
    west, south, east, north = bounds
    swapped = meets((south, west, north, east), box)
    hint = "; are latitude and longitude swapped?" if swapped else ""
    yield (
        f"WARNING: no station lies on it: it reaches from {west:.3f}, {south:.3f} to {east:.3f}, {north:.3f}, the"
        f" stations from {box[0]:.3f}, {box[1]:.3f} to {box[2]:.3f}, {box[3]:.3f}{hint}"
    )
