"""The shapes of the HTTP contract, for its documentation and its tests: fields may be added, none renamed."""

from datetime import time
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


FloodLevelNumber = Annotated[int, Field(ge=0, le=5, description="0 is below all thresholds")]
FlagNumber = Annotated[
    Literal[1, 2, 3, 4, 9], Field(description="QARTOD: 1 good, 2 not evaluated, 3 suspect, 4 fail, 9 missing")
]
Status = Literal["actual", "exercise", "test"]
Next = Annotated[str | None, Field(description="`cursor` of the next page; null on the last")]


QualityReason = Literal[
    "late",
    "range",
    "rate",
    "flat",
    "spike",
    "clock",
    "conflict",
    "estimated",
    "step",
    "unfit",
    "corrected",
    "condemned",
    "limit",
]


class Name(_Shape):
    """A name in both languages."""

    ja: str
    en: str


class FieldError(_Shape):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(_Shape):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


class NextThreshold(_Shape):
    """The lowest threshold above the water."""

    level: FloodLevelNumber
    value_m: float
    metres_to_go: float


class Arrival(_Shape):
    """A straight line through the last hour, drawn on. 参考: for reference only."""

    earliest: AwareDatetime
    likely: AwareDatetime
    latest: AwareDatetime


class StationLevel(_Shape):
    """A station's water level now. Levels are metres above gauge zero."""

    station_id: str
    name: Name
    river: str
    river_name: Name
    ward: Name | None
    lon: float | None
    lat: float | None
    level_m: float | None = Field(description="The newest reading, whatever its flag")
    judged_m: float | None = Field(
        description="What the station is judged by: the newest reading, or where that one failed the newest trusted"
        " one. Flood level, freeboard and freshness are those of this level"
    )
    judged_at: AwareDatetime | None = Field(description="When that level was measured")
    observed_at: AwareDatetime | None
    age_s: float | None
    flag: FlagNumber | None
    quality_reasons: list[QualityReason]
    flood_level: FloodLevelNumber
    flood_level_name: Name
    next_threshold: NextThreshold | None
    freeboard_m: float | None = Field(description="Metres below the lower levee crest")
    trend_m_per_h: float | None
    level_share: float | None = Field(
        description="The way from the level-1 to the level-4 threshold: 0 at level 1, 1 at level 4; null without both"
    )
    arrival: Arrival | None = Field(
        description="When the next threshold would be reached (参考, staff only); of the 50 most pressing stations"
    )
    freshness: Literal["fresh", "late", "dead"] = Field(
        description="How old the level is that the station is judged by. A sensor that sends failed readings only dies"
    )
    silence: Literal["sensor", "gateway", "server"] | None = Field(
        description="Where no reading comes on time: the link of the chain that is silent"
    )
    report_every_s: int = Field(description="How often the sensor should report now")


class LevelsLatest(_Shape):
    """Every water level station now."""

    as_of: AwareDatetime
    server_behind: bool = Field(
        description="Nothing is taken in: ingest is away, or gateways wait for it. However fresh the numbers still are"
    )
    stations: list[StationLevel]


class RecentLevels(_Shape):
    """Ten-minute means of every water level station, failed readings left out."""

    start: AwareDatetime = Field(alias="from", description="The start of the first ten minutes")
    step_s: float
    levels: dict[str, list[float | None]] = Field(description="By station; null where nothing good was measured")


class RiverName(_Shape):
    """A river."""

    river_id: str
    name: Name


class Threshold(_Shape):
    """A threshold in force."""

    level: FloodLevelNumber
    name: Name
    value_m: float
    hysteresis_m: float
    hold_s: float
    valid_from: AwareDatetime
    valid_to: AwareDatetime | None


class Sensor(_Shape):
    """One quantity at a station."""

    sensor_id: int
    quantity: str
    unit: str
    report_every_s: int
    report_every_low_s: int | None
    retired_at: AwareDatetime | None = Field(description="Out of service since then: in no list of levels, and silent")


class Neighbours(_Shape):
    """Ids of the next stations on the same river, the nearest first."""

    upstream: list[str]
    downstream: list[str]


class CrossSection(_Shape):
    """The river bed across the stream."""

    valid_from: AwareDatetime
    points: list[tuple[float, float]] = Field(
        description="Metres from the left end, looking downstream, and metres above gauge zero"
    )


class Station(_Shape):
    """A place on a river. Heights are metres above gauge zero, gauge zero is in metres T.P."""

    station_id: str
    name: Name
    river: RiverName
    lon: float | None
    lat: float | None
    km: float | None
    time_zone: str
    gauge_zero_tp_m: float | None
    ward: Name | None
    crest_m: float | None = Field(description="The lower of the two levee crests")
    crest_left_m: float | None
    crest_right_m: float | None
    design_high_water_m: float | None
    observation_start_m: float | None
    thresholds: list[Threshold]
    sensors: list[Sensor]
    neighbours: Neighbours


class Datum(_Shape):
    """A gauge's zero in metres T.P., since when it lies there: it holds until the next one."""

    valid_from: AwareDatetime
    gauge_zero_tp_m: float


class StationDetail(Station):
    """A station, every gauge zero there was and will be, and its river bed where that is registered."""

    datums: list[Datum] = Field(description="Oldest first: heights of history count from the zero of their time")
    cross_section: CrossSection | None


class Stations(_Shape):
    """All stations, upstream first on each river."""

    stations: list[Station]


class Device(_Shape):
    """A box deployed at a station, or one that was. Its status is what it last said of itself while it was there."""

    device_id: str
    kind: str
    quantity: str = Field(description="What the box reports")
    sensor_quantity: str = Field(description="What its number becomes here")
    valid_from: AwareDatetime
    valid_to: AwareDatetime | None
    status: dict[str, Any] | None = Field(description="`battery_v`, `rssi_dbm` and whatever else the box tells")
    status_at: AwareDatetime | None
    heard_at: AwareDatetime | None = Field(
        description="When a gateway last heard a reading or a status of it from here"
    )


class Devices(_Shape):
    """Deployments at a station, newest first."""

    devices: list[Device]


class RawPoint(_Shape):
    """One reading."""

    time: AwareDatetime
    value: float
    flag: FlagNumber
    reasons: list[QualityReason] = Field([], description="Only where there are any")
    former: float | None = Field(None, description="What the device stated, only where a person corrected it")


class BucketPoint(_Shape):
    """A summary without failed readings; `time` is its start, by the station's clock.

    An amount (rain) counts for the bucket that it fell in: one stamped 10:00 for the hour before ten.
    """

    time: AwareDatetime
    min: float
    mean: float
    max: float
    n: int
    expected: int = Field(description="How many readings the whole bucket holds where none is missing")
    complete: bool = Field(description="Whether none is missing; a sum of an incomplete bucket is no light rain")
    sum: float | None = Field(None, description="Of amounts (rain) only")


class Correction(_Shape):
    """A person's word about readings of a station, which stands above the devices' until it is undone."""

    id: int
    station_id: str
    quantity: str
    starts_at: AwareDatetime = Field(description="Both ends are included")
    ends_at: AwareDatetime
    kind: Literal["value", "offset", "condemn"]
    amount: float | None = Field(description="The value, or what is added to the device's; stored unit")
    reason: str
    who: str
    made_at: AwareDatetime
    undone_at: AwareDatetime | None
    undone_by: str | None
    applied: bool = Field(description="Whether the readings show it, or no longer show it, by now")
    refused: str | None = Field(description="Why it cannot be applied, where that is so")


class Corrections(_Shape):
    """A station's corrections, the newest first."""

    corrections: list[Correction]
    next: Next


class Readings(_Shape):
    """A history, oldest first."""

    station_id: str
    quantity: str
    unit: str
    resolution: Literal["raw", "10min", "hour", "day", "week"]
    datum: Literal["zero", "tp"] = Field(description="What heights count from")
    points: list[RawPoint] | list[BucketPoint]
    next: Next


AlertState = Literal["pending", "firing", "shelved", "acknowledged", "resolved", "withdrawn"]


class Alert(_Shape):
    """An episode of the water, or of a machine, that people should know of, as it stands now."""

    id: int
    station_id: str | None
    river: str | None
    kind: str
    subject: str = Field(description="What it is about where that is no sensor: `gateway:NAME`, `river:ID`")
    flood_level: FloodLevelNumber
    state: AlertState
    started_at: AwareDatetime
    ended_at: AwareDatetime | None
    retroactive: bool = Field(description="Learned of too late to page anybody")
    verified: bool = Field(description="False while only suspect readings say so (未確認)")
    status: Status
    value_m: float | None
    threshold_m: float | None
    peak_m: float | None
    recorded_at: AwareDatetime
    paged_at: AwareDatetime | None
    acknowledged_at: AwareDatetime | None
    acknowledged_by: str | None
    confirmed_at: AwareDatetime | None = Field(description="By a person")
    confirmed_by: str | None
    dismissed_at: AwareDatetime | None = Field(description="Withdrawn by a person: it was no water")
    dismissed_by: str | None
    shelved_until: AwareDatetime | None = Field(description="While a silence covers it now")
    incident_id: int | None
    detail: dict[str, Any] = Field(description="What the kind adds: reasons of doubt, neighbours, a person's message")
    notes: int = Field(description="How many things people have written down with it")


class Alerts(_Shape):
    """Alerts, the newest start first."""

    alerts: list[Alert]
    next: Next


class Attempt(_Shape):
    """One attempt to deliver, and what the other side answered."""

    at: AwareDatetime
    outcome: Literal["delivered", "failed", "refused", "superseded", "reworded"] = Field(
        description="superseded: not sent, what it says is no longer so or was said by a later message; reworded: sent"
        " in words that say how it is now"
    )
    answer: str


class Notification(_Shape):
    """What somebody was told, or is still to be told. Addresses and answers are `…` for whoever has no token."""

    id: int
    alert_id: int | None
    incident_id: int | None
    contact_id: str | None
    contact_name: str | None
    channel: str
    recipient: str
    event: str
    subject: str
    body: str
    created_at: AwareDatetime
    attempts: int
    delivered_at: AwareDatetime | None
    given_up_at: AwareDatetime | None
    last_error: str | None
    instead_of: int | None = Field(description="The message that did not get through by another channel")
    tried: list[Attempt]


class Notifications(_Shape):
    """Notifications, newest first."""

    notifications: list[Notification]
    next: Next


class Entry(_Shape):
    """A line of the audit: who changed what, when and why."""

    id: int
    at: AwareDatetime
    who: str = Field(description="`kawamori` where the software did")
    subject: str
    subject_id: str
    alert_id: int | None
    event: str
    note: str | None
    detail: dict[str, Any]


class Audit(_Shape):
    """The audit, newest first."""

    entries: list[Entry]
    next: Next


class AlertDetail(Alert):
    """An alert, whom it was told to, and what happened to it."""

    notifications: list[Notification]
    history: list[Entry] = Field(description="In order")


class Incident(_Shape):
    """An incident: a river's flood wave, or the equipment's troubles."""

    id: int
    topic: str
    river: str | None
    status: Status
    opened_at: AwareDatetime
    closed_at: AwareDatetime | None
    escalation_id: str | None
    step: int
    round: int
    escalate_at: AwareDatetime | None
    alerts: list[int] = Field(description="Ids, in order of their beginning")


class Incidents(_Shape):
    """Incidents, newest first."""

    incidents: list[Incident]
    next: Next


class SelfTest(_Shape):
    """The last synthetic crossing that was sent through the whole chain."""

    at: AwareDatetime
    ok: bool


class AlertingState(_Shape):
    """Whether people would be told now."""

    ok: bool
    why: list[
        Literal[
            "no_engine",
            "behind",
            "nobody",
            "unsent",
            "given_up",
            "self_test",
            "silenced",
            "thresholds",
            "restarting",
            "no_ingest",
            "not_judged",
        ]
    ] = Field(
        description="no_engine: none holds the lease; behind: readings wait to be evaluated; nobody: no escalation"
        " and no setting leads to anybody who would be told of a flood; unsent: a message waits to be delivered;"
        " given_up: one was tried for two days, and nobody has been told of what still lasts; self_test: the last one"
        " did not come out, or is older than two of their intervals; silenced: a silence hides floods of level 3 or"
        " more of the whole site, or for more than a day; thresholds: one was raised out of the water's reach;"
        " restarting: a service starts again and again; no_ingest: what is measured is not taken in (`notices` says"
        " more of these four); not_judged: a station or a rule cannot be judged. On the stream also"
        " `database`: it does not answer, and `unknown`: not looked yet"
    )
    leader: str | None
    lease_until: AwareDatetime | None
    behind_s: float
    oldest_unsent_s: float
    last_self_test: SelfTest | None
    not_judged: dict[str, str] = Field(description="What cannot be judged (a station, a rule on a sensor), and why")
    clock_off_s: float | None = Field(description="How far the engine's host is ahead of the database's clock")


class Notice(_Shape):
    """Something that everybody must see as long as it stands: it keeps people from being told of a flood.

    On the stream each `heartbeat` holds all of them: `{"as_of", "alerting", "page", "notices"}`.
    """

    kind: Literal["silenced", "thresholds", "drill", "service"] = Field(
        description="silenced: a silence that hides floods of level 3 or more, site-wide or for more than 24 hours;"
        " thresholds: a threshold of a station was raised out of the water's reach, or taken away; drill: a rule makes"
        " a drill of real crossings; service: one of the services starts again and again, or is dead"
    )
    key: str = Field(description="The same for as long as it is the same")
    since: AwareDatetime = Field(description="May lie ahead: a silence is told when it is set up")
    until: AwareDatetime | None = Field(description="Null: until somebody changes it")
    by: str | None = Field(description="Who did it; null for what nobody did, or where it is not known")
    text: Name


class Gateway(_Shape):
    """When a gateway was last heard of, and what it still has to forward."""

    gateway_id: str
    seen_at: AwareDatetime
    alive: bool
    backlog: int
    waiting: bool = Field(
        description="It holds rows and none of them has been stored for a while: the server is behind"
    )
    set_aside: int = Field(description="Rows that it could not deliver and set aside: look at its journal")


class IngestProcess(_Shape):
    """A worker that takes readings in, or did until a quarter of an hour before the last word of any."""

    process: str
    seen_at: AwareDatetime
    alive: bool


class DatabaseState(_Shape):
    """How quickly the database answers, and its size on disk."""

    answers_ms: float
    size_bytes: int


class StationCounts(_Shape):
    """How many water level stations report."""

    fresh: int
    late: int
    dead: int


class IntakeState(_Shape):
    """What was stored lately."""

    last_batch_at: AwareDatetime | None
    readings_last_minute: int
    batches_last_minute: int


class Refusal(_Shape):
    """Of a message in quarantine, without its bytes."""

    id: int
    received_at: AwareDatetime
    reason: str


class QuarantineState(_Shape):
    """What was refused lately, counted to 20,000."""

    last_hour: int = Field(description="Counted to 20,000, as the day")
    last_day: int
    newest: Refusal | None
    bytes_last_day: int = Field(description="What it took within a day")
    not_kept_last_day: int = Field(description="Messages past their sender's quota: counted, only the newest is kept")
    warning: Literal["quota", "growth"] | None = Field(description="What a person should look at")


class RegistryProblem(_Shape):
    """A row of the registry that cannot be used; everything else is as it should be."""

    subject: str
    reason: str


class RegistryState(_Shape):
    """Which version of the registry is in use, and what in it a person has to mend."""

    version: int
    trouble: str | None = Field(description="Why the newest version is not in use")
    problems: list[RegistryProblem] = Field(description="The first fifty")
    problem_count: int


class UnknownGateways(_Shape):
    """Who spoke as a gateway within the last day without being registered; nothing of it is believed."""

    count: int
    last_name: str | None = Field(description="Heard last; empty where it is no name")
    last_at: AwareDatetime | None


class StreamState(_Shape):
    """Who listens to this process."""

    clients: int


class HostClock(_Shape):
    """The clock of the API's host. Ages are told by the database's, so a wrong one misleads nobody here."""

    host_ahead_s: float = Field(description="Seconds ahead of the database's clock; negative: behind")
    ok: bool = Field(description="Whether it is within 5 s of it")


class System(_Shape):
    """How every link from the sensor to the person is. What could not be learned is null, and named in `unknown`."""

    as_of: AwareDatetime
    alerting: AlertingState | None
    gateways: list[Gateway] | None
    ingest: list[IngestProcess] | None
    database: DatabaseState | None
    stations: StationCounts | None
    intake: IntakeState | None
    quarantine: QuarantineState | None
    registry: RegistryState | None
    unknown_gateways: UnknownGateways | None
    stream: StreamState
    page_version: str | None = Field(description="The build of the page that is handed out")
    notices: list[Notice] | None = Field(description="What everybody must see; the stream's heartbeats have them too")
    problems: list[str] | None = Field(
        description="Rows of the set-up that this version does not understand and leaves out: contacts, escalations,"
        " silences"
    )
    clock: HostClock | None = Field(description="Null before the database has answered once")
    unknown: list[str]


class QuarantinedMessage(_Shape):
    """A message that was refused."""

    id: int
    received_at: AwareDatetime
    topic: str
    device_id: str | None
    reason: str
    payload_base64: str = Field(description="Its first 4,096 bytes; all of them: `/quarantine/{id}`")
    payload_bytes: int = Field(description="How many it has")


class Quarantine(_Shape):
    """Refused messages, newest first."""

    messages: list[QuarantinedMessage]
    next: Next


class Site(_Shape):
    """Whose rivers these are, and whether tonight is real."""

    name: Name
    status: Status
    notice: Name | None
    time_zone: str


class BasemapLayer(_Shape):
    """A layer of the operator's own map."""

    name: str
    kind: Literal["geojson", "pmtiles"]
    url: str = Field(description="On this host; its content never changes")
    attribution: str
    min_zoom: int
    max_zoom: int
    bounds: tuple[float, float, float, float] = Field(description="West, south, east, north")


class BasemapTiles(_Shape):
    """Pictures of another host, which only a site that has set them asks for."""

    url: str = Field(description="With {z}, {x} and {y}")
    attribution: str


class Basemap(_Shape):
    """What is drawn under rivers and stations."""

    layers: list[BasemapLayer]
    tiles: BasemapTiles | None


class FloodLevel(_Shape):
    """A flood level's name and colours, since when they hold."""

    level: FloodLevelNumber
    name: Name
    colour: str = Field(description="As `#RRGGBB`")
    text_colour: str = Field(description="Of words on it, as `#RRGGBB`")
    valid_from: AwareDatetime | None = Field(description="Since when; null where the usual ones stand in")


class FloodLevels(_Shape):
    """Every flood level in force, lowest first, and those that are registered for later."""

    flood_levels: list[FloodLevel]
    to_come: list[FloodLevel] = Field(description="Names and colours that take the place of these, the next ones first")


Identity = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class Address(_Shape):
    """Where a person is reached; of an address that is itself the key only the host."""

    channel: str
    address: str


class Hours(_Shape):
    """Hours of a week by the wall clock."""

    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]]
    start: time
    end: time


class Person(_Shape):
    """Somebody, or a duty desk."""

    kind: Literal["person"]
    id: Identity
    name: str
    language: Literal["ja", "en"]
    addresses: list[Address]
    self_test: bool = Field(description="Is sent each synthetic self-test too")


class Group(_Shape):
    """Several contacts at once."""

    kind: Literal["group"]
    id: Identity
    name: str
    members: list[str]


class Shift(_Shape):
    """Who is on call at these hours."""

    hours: Hours
    members: list[str]


class Rota(_Shape):
    """Who is on call when."""

    kind: Literal["rota"]
    id: Identity
    name: str
    time_zone: str
    shifts: list[Shift]


class Contact(RootModel[Annotated[Person | Group | Rota, Field(discriminator="kind")]]):
    """A person, a group or a rota."""


class Contacts(_Shape):
    """Everybody who may be told."""

    contacts: list[Contact]


class Tested(_Shape):
    """The test messages' ids: follow them with `/notifications?id=`."""

    notifications: list[int]


class Step(_Shape):
    """Tell these; when nobody has acknowledged after so many seconds, go on."""

    to: list[str]
    wait_s: float


class Escalation(_Shape):
    """Who is told, and who next when nobody answers."""

    id: Identity
    name: str
    river_id: str | None = Field(description="null: every river")
    min_level: int
    topics: list[Literal["flood", "equipment"]]
    steps: list[Step]
    repeat: int
    then: str | None = Field(description="The escalation that goes on after the last round")


class Escalations(_Shape):
    """Every escalation."""

    escalations: list[Escalation]


class Weekly(_Shape):
    """Only at these hours."""

    hours: list[Hours]
    time_zone: str


class Silence(_Shape):
    """A shelved alert, or a maintenance window."""

    id: int
    alert_id: int | None
    station_id: str | None
    river_id: str | None
    kinds: list[str] | None
    up_to_level: int
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    weekly: Weekly | None
    reason: str
    author: str
    lifted_at: AwareDatetime | None
    lifted_by: str | None


class Silences(_Shape):
    """Silences, newest first."""

    silences: list[Silence]
    next: Next


class AlertRule(_Shape):
    """A rule in force."""

    id: int
    kind: str
    station_id: str | None
    river_id: str | None
    enabled: bool
    status: Status
    parameters: dict[str, Any] = Field(description="What was set; the rest is the kind's default")
    valid_from: AwareDatetime
    author: str


class StationThreshold(_Shape):
    """A threshold in force; `clear_m` null: as far below as the level rule says."""

    station_id: str
    level: int
    fire_m: float
    clear_m: float | None
    valid_from: AwareDatetime


class AlertRules(_Shape):
    """The rules that were set, and every station's thresholds."""

    rules: list[AlertRule]
    thresholds: list[StationThreshold]


class RuleKind(_Shape):
    """A kind of rule."""

    kind: str
    name: Name
    topic: str
    by_default: bool = Field(description="Whether it watches where no rule was set")
    defaults: dict[str, Any]
    schema_: dict[str, Any] = Field(alias="schema", description="JSON Schema of `parameters`")


class RuleKinds(_Shape):
    """Every kind of rule."""

    kinds: list[RuleKind]


class ChronologyLine(_Shape):
    """One line of the record."""

    at: AwareDatetime
    kind: str
    river: str
    station: str
    level_m: float | None
    threshold_m: float | None
    text: str
    who: str
    status: Status
    alert_id: int | None


class Chronology(_Shape):
    """What happened, in order of time."""

    from_: AwareDatetime = Field(alias="from")
    to: AwareDatetime
    lines: list[ChronologyLine]
