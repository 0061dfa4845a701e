"""What the registry becomes by a sheet: pure, so that a dry run says the very same.

Dated things are statements: a sheet says what holds from its date on, until the next statement that is registered
already. A sheet that comes out of order therefore adds to the past and leaves what is in force alone. What a sheet does
not name stays as it is, but a station's thresholds, which are given all at once.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kawamori.domain.registration.deploy import Deployments, Table, day
from kawamori.domain.registration.plans import (
    EPOCH,
    DevicePlan,
    GatewayPlan,
    ModelPlan,
    Remark,
    SensorPlan,
    Sheet,
    StationPlan,
)
from kawamori.domain.registration.standing import Key, Registered, Row, Rows, covers, in_force, newest

_SPAN = ("nothing", "span_min", "span_max", "span_unit")
_PLACE = ("lon", "lat", "km", "time_zone", "ward_ja", "ward_en")
_TERMS = ("hysteresis_m", "hold", "consecutive", "keep_firing")
_OF_STATIONS = ("datum", "cross_section", "mark", "threshold", "sensor")
#: Of `domain.registry.Limits` those that are a sensor's own.
_LIMITS = ("range_min", "range_max", "max_step", "max_rate_h", "spike", "flat_after", "flat_above")
_NEW_SENSOR: Row = {
    "report_every": timedelta(minutes=10), "report_every_low": None, "noise_m": None, "usual_delay": timedelta(0),
    "retired_at": None, **dict.fromkeys(_LIMITS),
}  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """The registry as a registration makes it."""

    rows: Registered
    remarks: list[Remark] = field(default_factory=list)
    #: Stations that were registered before.
    known: frozenset[str] = frozenset()


def registered(before: Registered, sheet: Sheet, now: datetime, *, keep_registered: bool = False) -> Outcome:
    """The registry after a sheet. With `keep_registered` what is missing is added, and nothing changes or ends."""
    known = frozenset(key[0] for key in before["station"])
    done = Outcome(
        {subject: {key: dict(row) for key, row in rows.items()} for subject, rows in before.items()}, known=known
    )
    work = _Registrar(done, now, keep_registered)
    for model in sheet.models:
        work.model(model)
    for gateway in sheet.gateways:
        work.gateway(gateway)
    for station in sheet.stations:
        work.station(station)
    for device in sheet.devices:
        work.device(device)
    for station in sheet.stations:
        for place, sensor in enumerate(station.sensors):
            work.deployment(station, sensor, place)
    for station in sheet.stations:
        work.retirement(station)
    for device in sheet.devices:
        work.device_retirement(device)
    work.finish()
    return done


class _Registrar:
    def __init__(self, done: Outcome, now: datetime, keep: bool) -> None:
        self._done, self._rows, self._now, self._keep = done, done.rows, now, keep
        #: By subject and station: thousands of stations are registered at once.
        self._at: dict[str, defaultdict[str, Rows]] = {subject: defaultdict(dict) for subject in _OF_STATIONS}
        for subject, stations in self._at.items():
            for key, row in done.rows[subject].items():
                stations[key[0]][key] = row
        self._deployed = Table(done.rows["deployment"])

    def finish(self) -> None:
        """Put the rows of all stations together again."""
        for subject, stations in self._at.items():
            self._rows[subject] = {key: row for rows in stations.values() for key, row in rows.items()}

    def _put(self, subject: str, key: Key, new: Row, given: Row) -> None:
        """Add the row, or change of it what is given."""
        rows = self._at[subject][key[0]] if subject in self._at else self._rows[subject]
        if key not in rows:
            rows[key] = {**new, **given}
        elif not self._keep:
            rows[key] |= given

    def _retired_at(self, before: datetime | None, plan: bool | datetime) -> datetime | None:
        if isinstance(plan, datetime):
            return plan
        return (before or self._now) if plan else None

    def model(self, plan: ModelPlan) -> None:
        given = plan.values(*_SPAN)
        if given.get("nothing") is not None:
            given["nothing"] = sorted(given["nothing"])
        self._put("device_model", (plan.model,), dict.fromkeys(_SPAN), given)

    def gateway(self, plan: GatewayPlan) -> None:
        row = self._rows["gateway"].get((plan.gateway_id,), {"retired_at": None})
        given = {} if plan.retired is None else {"retired_at": self._retired_at(row["retired_at"], plan.retired)}
        self._put("gateway", (plan.gateway_id,), {"retired_at": None}, given)

    def device(self, plan: DevicePlan) -> None:
        given = plan.values("model") | ({"retired_at": None} if plan.retired is False else {})
        self._put("device", (plan.device_id,), {"model": None, "retired_at": None}, given)

    def station(self, plan: StationPlan) -> None:
        if not (self._keep and plan.station_id in self._done.known):
            names = {"name_ja": plan.river_name_ja, "name_en": plan.river_name_en}
            course = {"course": [list(point) for point in plan.course]} if plan.course else {}
            self._put("river", (plan.river_id,), {"course": None}, {**names, **course})
            row = {"name_ja": plan.name_ja, "name_en": plan.name_en, "river_id": plan.river_id, **plan.values(*_PLACE)}
            new = {**dict.fromkeys(_PLACE), "time_zone": plan.time_zone, "internal": plan.internal}
            self._put("station", (plan.station_id,), new, row)
            self._dated(plan)
            if plan.gives("thresholds"):
                self._thresholds(plan)
        for sensor in plan.sensors:
            self._sensor(plan, sensor)

    def _dated(self, plan: StationPlan) -> None:
        id_ = plan.station_id
        if plan.gauge_zero_tp_m is not None:
            before = newest(self._at["datum"][id_], (id_,), plan.valid_from or self._now)
            changed = self._state("datum", (id_,), {"gauge_zero_tp_m": plan.gauge_zero_tp_m}, plan.valid_from)
            if changed and before is not None and before["gauge_zero_tp_m"] != plan.gauge_zero_tp_m:
                step = plan.gauge_zero_tp_m - before["gauge_zero_tp_m"]
                self._say(
                    id_, "gauge_zero_tp_m",
                    f"moves by {step:+.3f} m on {day(changed)}: from then on readings, thresholds and marks count from"
                    " the new zero",
                )  # fmt: skip
        if plan.cross_section:
            points = [list(point) for point in plan.cross_section]
            self._state("cross_section", (id_,), {"points": points}, plan.valid_from)
        marks = self._at["mark"][id_]
        for kind, value in plan.marks.items():
            if value is not None or any(key[:2] == (id_, kind) for key in marks):
                self._state("mark", (id_, kind), {"value_m": value}, plan.valid_from)
        for kind in sorted({key[1] for key in marks} - plan.marks.keys()):
            row = newest(marks, (id_, kind), self._now)
            if plan.gives("marks") and row is not None and row["value_m"] is not None:
                self._say(
                    id_,
                    f"marks.{kind}",
                    f"{row['value_m']:g} m stays, though the sheet does not name it (null ends it)",
                )

    def _state(self, subject: str, of: Key, value: Row, since: datetime | None) -> datetime | None:
        """A dated fact without an end; since when, where that changes anything."""
        rows = self._at[subject][of[0]]
        if since is None:
            if newest(rows, of, self._now) == value:
                return None
            since = self._now if any(key[:-1] == of for key in rows) else EPOCH
        if rows.get((*of, since)) == value:
            return None
        rows[(*of, since)] = value
        return since

    def _thresholds(self, plan: StationPlan) -> None:
        id_, rows = plan.station_id, self._at["threshold"][plan.station_id]
        mine = dict(rows)
        since = plan.valid_from
        if since is None:
            standing = {key[1]: row for key, row in mine.items() if covers(key[-1], row, self._now)}
            meant = {level: self._threshold(plan, level, standing.get(level)) for level in plan.thresholds}
            if standing and meant == {level: {**row, "valid_to": None} for level, row in standing.items()}:
                return
            since = self._now if mine else EPOCH
        until = min((at for at in _statements(mine, self._now) if at > since), default=None)
        for level in sorted({key[1] for key in mine} | plan.thresholds.keys()):
            found = in_force(mine, (id_, level), since)
            self._clear((id_, level), since, until)
            if level in plan.thresholds:
                row = self._threshold(plan, level, found and found[1])
                rows[(id_, level, since)] = {**row, "valid_to": until}
            elif found is not None:
                self._say(
                    id_, f"thresholds.{level}",
                    f"{found[1]['value_m']:g} m ends on {day(since)}: the sheet no longer names this level",
                )  # fmt: skip
        if rows != mine and until is not None:
            self._say(id_, "thresholds", f"hold until {day(until)}: what is registered since then stays as it is")
        elif rows != mine and plan.valid_from is None and mine:
            self._say(id_, "thresholds", "change from now on: `valid_from` gives another date")

    def _threshold(self, plan: StationPlan, level: int, before: Row | None) -> Row:
        """What the sheet says of a level, and of what it does not say what is registered."""
        kept = {name: None if before is None else before[name] for name in _TERMS}
        given = {**plan.values("hysteresis_m", "hold"), **plan.terms.get(level, {})}
        return {"value_m": plan.thresholds[level], **kept, **given, "valid_to": None}

    def _clear(self, of: Key, since: datetime, until: datetime | None) -> None:
        """Take what holds between the two dates off, and leave what held before and what holds after."""
        rows = self._at["threshold"][of[0]]
        for key, row in [(k, r) for k, r in rows.items() if k[:2] == of]:
            begun, over = key[-1], row["valid_to"]
            if (over is not None and over <= since) or (until is not None and begun >= until):
                continue
            if begun < since:
                rows[key] = {**row, "valid_to": since}
            else:
                del rows[key]
            if until is not None and (over is None or over > until):
                rows[(*of, until)] = dict(row)

    def _sensor(self, station: StationPlan, plan: SensorPlan) -> None:
        meant = plan.limits_given
        limits = {name: getattr(plan.limits, name) for name in _LIMITS}
        limits = {n: v for n, v in limits.items() if (v is not None if meant is None else n in meant)}
        given = {**plan.values("report_every", "report_every_low", "noise_m", "usual_delay"), **limits}
        self._put("sensor", (station.station_id, plan.quantity), _NEW_SENSOR, given)

    def deployment(self, station: StationPlan, plan: SensorPlan, place: int) -> None:
        """Put the sensor's device where the sheet says, unless sensor or device are out of service."""
        id_, field_ = station.station_id, f"sensors.{place}"
        sensor = self._at["sensor"][id_][id_, plan.quantity]
        self._put("device", (plan.device_id,), {"model": None, "retired_at": None}, plan.values("model"))
        device = self._rows["device"][(plan.device_id,)]
        if plan.retired is not None and not self._keep:
            sensor["retired_at"] = self._retired_at(sensor["retired_at"], plan.retired)
        elif station.retired is False and not self._keep:
            sensor["retired_at"] = None
        begins = plan.valid_from or self._now
        if sensor["retired_at"] is not None and sensor["retired_at"] <= begins:
            if not (plan.retired or station.retired):
                self._say(
                    id_,
                    f"{field_}.retired",
                    f"is retired since {day(sensor['retired_at'])} and stays so (false ends that)",
                )
            return
        if device["retired_at"] is not None and device["retired_at"] <= begins:
            said = f"{plan.device_id} is retired since {day(device['retired_at'])} (`retired` false ends that)"
            self._done.remarks.append(Remark(id_, f"{field_}.device_id", said, is_error=True))
            return
        at = Deployments(self._deployed, self._now, (id_, plan.quantity), plan)
        for name, text, is_error in at.fill(station.valid_from) if self._keep else at.place(station.valid_from):
            self._done.remarks.append(Remark(id_, f"{field_}.{name}", text, is_error))
        if sensor["retired_at"] is not None:
            self._end(id_, plan.quantity, sensor["retired_at"])

    def retirement(self, plan: StationPlan) -> None:
        """A retired sensor's deployments end: later readings are refused, late ones of before are taken."""
        if self._keep:
            return
        for (station, quantity), row in self._at["sensor"][plan.station_id].items():
            if plan.retired:
                row["retired_at"] = self._retired_at(row["retired_at"], plan.retired)
            if row["retired_at"] is not None:
                self._end(station, quantity, row["retired_at"])

    def _end(self, station: str, quantity: str, at: datetime) -> None:
        self._deployed.end(self._deployed.of_sensor((station, quantity)), at)

    def device_retirement(self, plan: DevicePlan) -> None:
        """A retired device's deployments end."""
        if plan.retired is None or self._keep:
            return
        row = self._rows["device"][(plan.device_id,)]
        row["retired_at"] = self._retired_at(row["retired_at"], plan.retired)
        if row["retired_at"] is not None:
            self._deployed.end(self._deployed.of_device(plan.device_id), row["retired_at"])

    def _say(self, about: str, field_: str, text: str) -> None:
        self._done.remarks.append(Remark(about, field_, text))


def _statements(rows: Rows, now: datetime) -> set[datetime]:
    """When a station's thresholds changed, or will: an end that is only planned says nothing of the other levels."""
    ends = (row["valid_to"] for row in rows.values())
    return {key[-1] for key in rows} | {at for at in ends if at is not None and at <= now}
