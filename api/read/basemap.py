"""The map under the stations: which layers there are, and their files, whole or in pieces."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request, Response
from starlette.responses import FileResponse

from api.contract import schemas
from api.pages.console import FOR_EVER
from api.read.routes import Dependencies, answer
from kawamori import basemap
from kawamori.errors import ConfigurationError
from kawamori.observe import log

_TYPES = {"geojson": "application/geo+json", "pmtiles": "application/vnd.pmtiles"}


def basemap_routes(using: Dependencies) -> APIRouter:
    """The list and the files."""
    router = APIRouter(prefix="/api/v1", tags=["site"])
    folder, tiles_url = using.api.basemap, using.api.tiles_url

    @router.get("/basemap", response_model=schemas.Basemap)
    def base() -> Response:
        """The operator's own map; nothing where there is none. Rivers and stations are in `stations.geojson`."""
        try:
            found = [] if folder is None else basemap.layers(folder)
        except ConfigurationError as error:
            log().error("the base map cannot be read: import it again", error=str(error))
            found = []
        return answer(
            {
                "layers": [_layer(layer) for layer in found],
                "tiles": tiles_url and {"url": tiles_url, "attribution": using.api.tiles_attribution},
            }
        )

    @router.get("/basemap/{file}", include_in_schema=False)
    @router.head("/basemap/{file}", include_in_schema=False)
    def one(file: Annotated[str, Path(pattern=f"^{basemap.FILE.pattern}$")], request: Request) -> Response:
        """A layer's file; its name says what is in it, so that it never changes."""
        path = None if folder is None else folder / file
        if path is None or not path.is_file():
            raise HTTPException(HTTPStatus.NOT_FOUND, "the base map has no such file any more")
        digest, _, kind = file.partition(".")
        headers = {"Cache-Control": FOR_EVER, "ETag": f'"{digest}"'}
        if digest in request.headers.get("If-None-Match", ""):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return FileResponse(path, headers=headers, media_type=_TYPES[kind])

    return router


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
