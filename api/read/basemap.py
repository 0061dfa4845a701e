"""The map under the stations: which layers there are, and their files, whole or in pieces."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request, Response
from starlette.responses import FileResponse

from api.contract import schemas
from api.dependencies import Using, answer
from api.pages.console import FOR_EVER
from kawamori import basemap
from kawamori.errors import ConfigurationError
from kawamori.observe import log

_TYPES = {"geojson": "application/geo+json", "pmtiles": "application/vnd.pmtiles"}


router = APIRouter(prefix="/api/v1", tags=["site"])


@router.get("/basemap", response_model=schemas.Basemap)
def base(using: Using) -> Response:
    """The operator's own map; nothing where there is none. Rivers and stations are in `stations.geojson`."""
    try:
        found = [] if using.api.basemap is None else basemap.layers(using.api.basemap)
    except ConfigurationError as error:
        log().error("the base map cannot be read: import it again", error=str(error))
        found = []
    return answer(
        {
            "layers": [_layer(layer) for layer in found],
            "tiles": using.api.tiles_url and {"url": using.api.tiles_url, "attribution": using.api.tiles_attribution},
        }
    )


@router.get("/basemap/{file}", include_in_schema=False)
@router.head("/basemap/{file}", include_in_schema=False)
def one(using: Using, file: Annotated[str, Path(pattern=f"^{basemap.FILE.pattern}$")], request: Request) -> Response:
    """A layer's file; its name says what is in it, so that it never changes."""
    path = None if using.api.basemap is None else using.api.basemap / file
    if path is None or not path.is_file():
        raise HTTPException(HTTPStatus.NOT_FOUND, "the base map has no such file any more")
    digest, _, kind = file.partition(".")
    headers = {"Cache-Control": FOR_EVER, "ETag": f'"{digest}"'}
    if digest in request.headers.get("If-None-Match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return FileResponse(path, headers=headers, media_type=_TYPES[kind])


def _layer(layer: basemap.Layer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "kind": layer.kind,
        "url": f"/api/v1/basemap/{layer.file}",
        "attribution": layer.attribution,
        "min_zoom": layer.min_zoom,
        "max_zoom": layer.max_zoom,
        "bounds": layer.bounds,
    }
