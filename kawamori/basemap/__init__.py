"""The operator's own map under the stations: a folder of files that the API hands out.

`layers.json` names the layers; each file is named by what is in it, so that a browser may keep it for ever. A file is
whole on the disk before the list names it, and the list is replaced in one step: a reader meanwhile, an API
process or a machine that lost its power, finds the former map or the new one.
"""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal

import msgspec

from kawamori.errors import ConfigurationError

Kind = Literal["geojson", "pmtiles"]
#: West, south, east, north in degrees.
Bounds = tuple[float, float, float, float]
#: Names of the files that are ours: nothing else in the folder is handed out or removed.
FILE = re.compile(r"[0-9a-f]{32}\.(geojson|pmtiles)")
LONGEST_NAME, LONGEST_ATTRIBUTION = 60, 200
_LIST = "layers.json"


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer as the list keeps it; `file` is its name in the folder."""

    name: str
    kind: Kind
    file: str
    attribution: str = ""
    min_zoom: int
    max_zoom: int
    bounds: Bounds
    bytes: int


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A file that may become a layer: what is in it, and what was left out on the way."""

    kind: Kind
    min_zoom: int
    max_zoom: int
    bounds: Bounds
    attribution: str = ""
    #: What is stored instead of the file itself.
    content: bytes | None = None
    #: For a person to read, one line each.
    said: Sequence[str] = ()


def layers(folder: Path) -> list[Layer]:
    """The layers in the order of their import; raises ConfigurationError where the list cannot be read."""
    try:
        return msgspec.json.decode((folder / _LIST).read_bytes(), type=list[Layer])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(f"KAWAMORI_API__BASEMAP: {_LIST} cannot be read: {error}") from None


def check(file: Path) -> Checked:
    """Look whether a file can be a layer; raises ConfigurationError that says what to do about it."""
    from kawamori.basemap import geojson, pmtiles

    try:
        with file.open("rb") as opened:
            begins = opened.read(len(pmtiles.MAGIC))
        if begins == pmtiles.MAGIC or file.suffix == ".pmtiles":
            return pmtiles.check(file)
        return geojson.check(file)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None


def put(folder: Path, file: Path, checked: Checked, *, name: str, attribution: str | None) -> Layer:
    """Make it a layer, in the place of one of the same name; raises ConfigurationError where it cannot be stored."""
    with _locked(folder):
        stored = _store(folder, file, checked)
        layer = Layer(
            name=name, kind=checked.kind, file=stored.name, min_zoom=checked.min_zoom, max_zoom=checked.max_zoom,
            attribution=checked.attribution if attribution is None else attribution, bounds=checked.bounds,
            bytes=stored.stat().st_size,
        )  # fmt: skip
        before = layers(folder)
        if any(known.name == name for known in before):
            _rewrite(folder, [layer if known.name == name else known for known in before])
        else:
            _rewrite(folder, [*before, layer])
        return layer


def remove(folder: Path, name: str) -> bool:
    """Take a layer away; False where there is none of this name."""
    with _locked(folder):
        before = layers(folder)
        after = [layer for layer in before if layer.name != name]
        if len(after) < len(before):
            _rewrite(folder, after)
        return len(after) < len(before)


def meets(one: Bounds, other: Bounds) -> bool:
    """Whether two boxes share a point."""
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two imports at once go one after the other."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise ConfigurationError(f"KAWAMORI_API__BASEMAP: {folder}: {error.strerror}") from None


def _store(folder: Path, file: Path, checked: Checked) -> Path:
    """Copy under the name of the content, whole and on the disk before anybody can find it."""
    with NamedTemporaryFile(dir=folder, prefix=".import-", delete=False) as part:
        try:
            if checked.content is None:
                with file.open("rb") as source:
                    shutil.copyfileobj(source, part, 1 << 20)
            else:
                part.write(checked.content)
            part.flush()
            os.fsync(part.fileno())
            part.seek(0)
            digest = hashlib.file_digest(part, "sha256").hexdigest()[:32]
            stored = folder / f"{digest}.{checked.kind}"
            Path(part.name).chmod(0o644)
            Path(part.name).rename(stored)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise
    return stored


def _rewrite(folder: Path, after: list[Layer]) -> None:
    """Replace the list in one step, then delete the files that it names no more."""
    part = folder / f".{_LIST}"
    with part.open("wb") as opened:
        opened.write(msgspec.json.format(msgspec.json.encode(after), indent=1))
        opened.flush()
        os.fsync(opened.fileno())
    part.rename(folder / _LIST)
    opened_folder = os.open(folder, os.O_RDONLY)
    os.fsync(opened_folder)
    os.close(opened_folder)
    wanted = {layer.file for layer in after}
    for path in folder.iterdir():
        if (FILE.fullmatch(path.name) and path.name not in wanted) or path.name.startswith(".import-"):
            path.unlink()
