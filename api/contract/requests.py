"""What people send when they act: checked before anything is touched."""

from datetime import time
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from kawamori.domain.people import DAYS
from kawamori.domain.reading import LARGEST_VALUE
from kawamori.domain.text import hidden_in


def _plain(text: str) -> str:
    if (found := hidden_in(text, allowed="\n\t")) is not None:
        raise ValueError(f"must not contain control characters, separators of lines or marks of direction: {found}")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text or len(text.splitlines()) > 1:
        raise ValueError("must be one line")
    return _plain(text)


def _named(text: str) -> str:
    if (found := hidden_in(text)) is not None:
        raise ValueError(f"must not contain hidden characters: {found}")
    return text


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no time zone of this name") from None
    return name


Note = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000), AfterValidator(_plain)
]  # fmt: skip
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_one_line)
]  # fmt: skip
Ref = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]{1,100}$"), AfterValidator(_named)]
ContactId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_zone)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Status = Literal["actual", "exercise", "test"]
#: A longer one is a decision to be made again.
LONGEST_SHELVING_MIN = 24 * 60


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Acknowledge(_Body):
    """Somebody has seen it, and answers for it."""

    note: Note | None = None


class CorrectionBody(_Body):
    """What is wrong with a reading, or with all from it to `to`: exactly one of the three."""

    value: Annotated[float, Field(ge=-LARGEST_VALUE, le=LARGEST_VALUE)] | None = None
    offset: Annotated[float, Field(ge=-LARGEST_VALUE, le=LARGEST_VALUE)] | None = None
    condemn: Literal[True] | None = None
    #: The last reading that it is about; without it, the one of the address.
    to: AwareDatetime | None = None
    quantity: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")] = "water_level"
    reason: Line


class Noted(_Body):
    """Something to be remembered with an alert."""

    note: Note


class Shelve(_Body):
    """Nobody is told of it until then. One of `until` and `minutes`."""

    until: AwareDatetime | None = None
    minutes: Annotated[int, Field(ge=1, le=LONGEST_SHELVING_MIN)] | None = None
    reason: Note


class Withdraw(_Body):
    """It was no water."""

    reason: Note


class Words(_Body):
    """What people are to read."""

    ja: Note
    en: Note | None = None


class ByHand(_Body):
    """What a person saw and no sensor. One of `station_id` and `river_id`."""

    station_id: Ref | None = None
    river_id: Ref | None = None
    flood_level: Annotated[int, Field(ge=1, le=5)]
    message: Words
    status: Status | None = Field(None, description="The site's where it is not given")
    request: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{8,64}$")] | None = Field(
        None, description="Chosen by the client; the same one again raises nothing more"
    )


class Hours(_Body):
    """Hours of a week by the wall clock; `end` at or before `start` reaches into the next day."""

    days: Annotated[tuple[Day, ...], Field(min_length=1, max_length=7)] = DAYS  # type: ignore[assignment]
    start: time
    end: time


class Address(_Body):
    """Where a person is reached by one channel."""

    channel: Ref
    address: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000), AfterValidator(_plain)
    ]


class PersonBody(_Body):
    """Somebody, or a duty desk."""

    kind: Literal["person"]
    name: Line
    language: Literal["ja", "en"] = "ja"
    addresses: Annotated[tuple[Address, ...], Field(max_length=20)] = ()
    self_test: bool = False


class GroupBody(_Body):
    """Several contacts at once."""

    kind: Literal["group"]
    name: Line
    members: Annotated[tuple[ContactId, ...], Field(max_length=200)] = ()


class ShiftBody(_Body):
    """Who is on call at these hours."""

    hours: Hours
    members: Annotated[tuple[ContactId, ...], Field(min_length=1, max_length=200)]


class RotaBody(_Body):
    """Who is on call when."""

    kind: Literal["rota"]
    name: Line
    time_zone: Zone = "Asia/Tokyo"
    shifts: Annotated[tuple[ShiftBody, ...], Field(max_length=200)] = ()


ContactBody = Annotated[PersonBody | GroupBody | RotaBody, Field(discriminator="kind")]


class StepBody(_Body):
    """Tell these contacts; when nobody has acknowledged after so many seconds, go on."""

    to: Annotated[tuple[ContactId, ...], Field(min_length=1, max_length=200)]
    wait_s: Annotated[int, Field(ge=10, le=86_400)] = 300


class EscalationBody(_Body):
    """Who is told, and who next when nobody answers."""

    name: Line
    river_id: Ref | None = None
    min_level: Annotated[int, Field(ge=0, le=5)] = 1
    topics: Annotated[tuple[Literal["flood", "equipment"], ...], Field(min_length=1, max_length=2)] = ("flood",)
    steps: Annotated[tuple[StepBody, ...], Field(min_length=1, max_length=20)]
    repeat: Annotated[int, Field(ge=0, le=20)] = 1
    then: ContactId | None = None


class WeeklyBody(_Body):
    """Only at these hours."""

    hours: Annotated[tuple[Hours, ...], Field(min_length=1, max_length=50)]
    time_zone: Zone = "Asia/Tokyo"


class SilenceBody(_Body):
    """A maintenance window for a station, a river, or with neither the site."""

    station_id: Ref | None = None
    river_id: Ref | None = None
    kinds: Annotated[tuple[Ref, ...], Field(min_length=1, max_length=50)] | None = None
    up_to_level: Annotated[int, Field(ge=0, le=5, description="Flood levels above it are told all the same")] = 0
    starts_at: AwareDatetime | None = Field(None, description="Now where it is not given")
    ends_at: AwareDatetime
    weekly: WeeklyBody | None = None
    reason: Note


class RuleBody(_Body):
    """A rule of one station, of one river, or with neither of the site; it takes the place of the one in force."""

    kind: Ref
    station_id: Ref | None = None
    river_id: Ref | None = None
    enabled: bool = True
    status: Status = "actual"
    parameters: dict[str, object] = Field(
        default_factory=dict, description="As `/alert-rules/kinds` says; what is left out is the kind's default"
    )
