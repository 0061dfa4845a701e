"""Where a device measures and since when: swaps, moves and what comes out of order."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from kawamori.domain.registration.plans import EPOCH, SensorPlan
from kawamori.domain.registration.standing import Key, Row, Rows, covers

_TERMS = ("scale", "shift", "nothing", "span_min", "span_max", "span_unit", "counter")
_NEW: Row = {
    "scale": 1.0, "shift": 0.0, "nothing": None, "span_min": None, "span_max": None, "span_unit": None,
    "counter": False,
}  # fmt: skip
#: Fields of the sheet, what is to be said of them, and whether it is an error.
Said = list[tuple[str, str, bool]]


def day(at: datetime) -> str:
    """A date for a person to read."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


class Table:
    """All deployments, found by their device and by their sensor; `rows` are changed in place."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._by_device: defaultdict[str, set[Key]] = defaultdict(set)
        self._by_sensor: defaultdict[tuple[str, str], set[Key]] = defaultdict(set)
        for key, row in rows.items():
            self._by_device[key[0]].add(key)
            self._by_sensor[row["station_id"], row["sensor"]].add(key)

    def of_device(self, device: str) -> Rows:
        """Everything that a device measured, wherever it was."""
        return {key: self._rows[key] for key in sorted(self._by_device[device])}

    def of_sensor(self, sensor: tuple[str, str]) -> Rows:
        """Everything that measured for a sensor."""
        return {key: self._rows[key] for key in sorted(self._by_sensor[sensor])}

    def replace(self, before: Rows, after: Rows) -> None:
        """These rows instead of those."""
        for key, row in before.items():
            del self._rows[key]
            self._by_device[key[0]].discard(key)
            self._by_sensor[row["station_id"], row["sensor"]].discard(key)
        for key, row in after.items():
            self._rows[key] = row
            self._by_device[key[0]].add(key)
            self._by_sensor[row["station_id"], row["sensor"]].add(key)

    def end(self, found: Rows, at: datetime) -> None:
        """Nothing of these holds from then on."""
        left = {
            key: row if row["valid_to"] is not None and row["valid_to"] <= at else {**row, "valid_to": at}
            for key, row in found.items() if key[-1] < at
        }  # fmt: skip
        self.replace(found, left)


class Deployments:
    """The deployments of one sensor and of the device that is to measure for it."""

    def __init__(self, table: Table, now: datetime, sensor: tuple[str, str], plan: SensorPlan) -> None:
        self._table, self._now, self._sensor, self._plan = table, now, sensor, plan
        self._device = (plan.device_id, plan.reports or plan.quantity)
        device = {key: row for key, row in table.of_device(plan.device_id).items() if key[:2] == self._device}
        self._before = device | table.of_sensor(sensor)
        self._rows = dict(self._before)

    def place(self, station_since: datetime | None) -> Said:
        """Let the device measure here; what measured here until then ends, and so does where the device was."""
        said: Said = []
        since = self._since(station_since, said)
        standing = self._standing(since)
        terms = {**(_NEW if standing is None else {n: standing[1][n] for n in _TERMS}), **self._given()}
        until = self._until(since, standing)
        row = {"station_id": self._sensor[0], "sensor": self._sensor[1], "valid_to": until, **terms}
        if until is not None and until <= since:
            return [("valid_to", "must be later than `valid_from`", True)]
        for key, other in self._overlapping(since, until):
            self._cut(key, other, since, until, said)
        if standing is not None and {n: standing[1][n] for n in _TERMS} == terms:
            self._rows[standing[0]] = {**standing[1], "valid_to": until}
        else:
            if standing is not None and standing[0][-1] < since:
                self._rows[standing[0]] = {**standing[1], "valid_to": since}
            elif standing is not None:
                said += self._restated(standing[1], terms)
            self._rows[(*self._device, since)] = row
        if self._rows == self._before:
            return []
        self._table.replace(self._before, self._rows)
        return said

    def fill(self, station_since: datetime | None) -> Said:
        """Let the device measure here whenever it measures nowhere; nothing ends."""
        self._fill(station_since)
        self._table.replace(self._before, self._rows)
        return []

    def _fill(self, station_since: datetime | None) -> None:
        at, over = self._plan.valid_from or station_since or EPOCH, self._plan.valid_to
        row = {"station_id": self._sensor[0], "sensor": self._sensor[1], **_NEW, **self._given()}
        for key, other in sorted((k, r) for k, r in self._rows.items() if k[:2] == self._device):
            if key[-1] > at and (over is None or at < over):
                end = key[-1] if over is None else min(key[-1], over)
                self._rows[(*self._device, at)] = {**row, "valid_to": end}
            if other["valid_to"] is None:
                return
            at = max(at, other["valid_to"])
        if over is None or at < over:
            self._rows[(*self._device, at)] = {**row, "valid_to": over}

    def _given(self) -> Row:
        given = self._plan.values(*_TERMS)
        if given.get("nothing") is not None:
            given["nothing"] = sorted(given["nothing"])
        return given

    def _here(self, row: Row) -> bool:
        return (row["station_id"], row["sensor"]) == self._sensor

    def _standing(self, at: datetime) -> tuple[Key, Row] | None:
        """This device's deployment here that holds at that time."""
        for key, row in self._rows.items():
            if key[:2] == self._device and self._here(row) and covers(key[-1], row, at):
                return key, row
        return None

    def _others(self) -> list[tuple[Key, Row]]:
        """What else measured here, and where else the device did."""
        return [(k, r) for k, r in self._rows.items() if self._here(r) != (k[:2] == self._device)]

    def _since(self, station_since: datetime | None, said: Said) -> datetime:
        if self._plan.valid_from is not None:
            return self._plan.valid_from
        mine = [key[-1] for key, row in self._rows.items() if key[:2] == self._device and self._here(row)]
        standing, others = self._standing(self._now), self._others()
        if not mine and not others:
            return station_since or EPOCH
        if standing is not None and (station_since is None or station_since <= standing[0][-1]):
            return standing[0][-1]  # type: ignore[no-any-return]
        if standing is not None:
            return self._now if station_since is None else station_since
        takes_all = any(key[-1] == station_since for key, _ in others)
        if station_since is not None and not mine and not takes_all:
            return station_since
        replaced = any(self._here(row) and covers(key[-1], row, self._now) for key, row in others)
        if station_since is not None and replaced and self._standing(station_since) is not None:
            return station_since  # a former sheet once more: another device has taken over since
        text = f"{self._device[0]} measures here from now on ({day(self._now)}): give a date if that is wrong"
        said.append(("valid_from", text, False))
        return self._now

    def _until(self, since: datetime, standing: tuple[Key, Row] | None) -> datetime | None:
        """The end that is given, else the one that is registered; at the latest where the next one begins."""
        ends = [k[-1] for k, r in self._rows.items() if k[-1] > since and (self._here(r) or k[:2] == self._device)]
        if self._plan.gives("valid_to"):
            ends += [] if self._plan.valid_to is None else [self._plan.valid_to]
        elif standing is not None and standing[1]["valid_to"] is not None:
            ends.append(standing[1]["valid_to"])
        return min(ends, default=None)

    def _overlapping(self, since: datetime, until: datetime | None) -> list[tuple[Key, Row]]:
        return [
            (key, row) for key, row in self._others()
            if (row["valid_to"] is None or row["valid_to"] > since) and (until is None or key[-1] < until)
        ]  # fmt: skip

    def _cut(self, key: Key, row: Row, since: datetime, until: datetime | None, said: Said) -> None:
        """End another deployment where this one begins; what is over already gives it its place back."""
        over = row["valid_to"]
        if key[-1] < since:
            self._rows[key] = {**row, "valid_to": since}
        else:
            del self._rows[key]
        if until is not None and until <= self._now and (over is None or over > until):
            self._rows[(*key[:2], until)] = dict(row)
        if key[:2] == self._device:
            text = f"{key[0]} measured at {row['station_id']} ({row['sensor']}): that ends on {day(since)}"
        else:
            text = f"{key[0]} measured here: that ends on {day(since)}, later readings of it are refused"
        said.append(("device_id", text, False))

    def _restated(self, before: Row, terms: Row) -> Said:
        """What changes for a deployment's whole time, because no new date was given."""
        how = "for all that is still to come of this deployment: `valid_from` begins a new one"
        return [
            (name, f"{_short(before[name])} becomes {_short(terms[name])} {how}", False)
            for name in _TERMS if before[name] != terms[name]
        ]  # fmt: skip


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
