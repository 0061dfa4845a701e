"""Store readings in one transaction: lock the sensors, judge what is new by its neighbours, write all that follows."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import islice

from prometheus_client import Counter

from ingest import sorting
from ingest.bisect import Breaker, store_apart
from ingest.liveness import Progress
from ingest.quality import REACH_BACK
from ingest.registry import CurrentRegistry
from ingest.resolve import resolve
from ingest.series import Outcome, QcWindow, append, follows, insert_among, restated, spans_of, without_known
from ingest.sorting import Work
from kawamori import wire
from kawamori.domain.correction import BY_PEOPLE, Correction
from kawamori.domain.reading import Reading, SensorId
from kawamori.errors import StorageBroken, StorageRefused, StorageUnavailable
from kawamori.observe import log
from kawamori.runtime import fail_point
from kawamori.settings import IngestSettings
from kawamori.storage import corrections, quarantine
from kawamori.storage import readings as rows
from kawamori.storage.database import Connection, Database
from kawamori.storage.liveness import save_statuses
from kawamori.storage.quarantine import Quarantined
from kawamori.storage.statements import Revision, keep_revisions, readings_at, restate_readings
from kawamori.storage.summaries import recompute_summaries

STORED = Counter("kawamori_ingest_readings_total", "Readings stored for the first time")
REPEATED = Counter("kawamori_ingest_repeated_total", "Readings that were stored before")
QUARANTINED = Counter("kawamori_ingest_quarantined_total", "Messages sent to quarantine")

#: Late sensors whose stored neighbours are in memory at once.
_LATE_TOGETHER = 150


class ReadingStore:
    """Writes readings with all that follows from them; remembers each sensor's last readings between transactions."""

    def __init__(
        self, database: Database, settings: IngestSettings, registry: CurrentRegistry, progress: Progress
    ) -> None:
        self._database = database
        self._settings = settings
        self._registry = registry
        self._progress = progress
        #: Held by who works with the tails: batches, replays of quarantine, and corrections.
        self.turn = asyncio.Lock()
        #: What was last known of each sensor, by the revision of its row.
        self.tails: dict[SensorId, tuple[int, QcWindow]] = {}
        #: What people say of their readings, where they say anything; as old as the tails.
        self.corrections: dict[SensorId, tuple[Correction, ...]] = {}

    async def store(self, work: Work) -> None:
        """One transaction; what the database refuses is bisected until only the poison is left aside."""
        try:
            await self.commit(work, trusting_tails=True)
        except StorageRefused as error:
            log().warning("the database refused a batch: halving it", readings=len(work.readings), error=str(error))
            arrived_at = self._registry.arrived()

            async def commit(part: Work) -> None:
                await self.commit(part, trusting_tails=len(part.readings) > 1)

            poison = await store_apart(work, commit, Breaker())
            for part, why in poison:
                log().error("what the database refuses goes to quarantine: look at its reason", error=str(why))
                work.refused += [
                    sorting.refused_by_database(message, place, arrived_at, f"database: {why}")
                    for message, place in part.sources
                ]
                work.refused += [
                    Quarantined(
                        received_at=at, topic=wire.device_topic(device, "reading"), device_id=device,
                        reason=f"status: the database refused it: {why}", payload=status, gateway_id="",
                    )
                    for device, at, status in part.statuses
                ]  # fmt: skip
            await self._quarantine(work.refused)

    async def _quarantine(self, refused: list[Quarantined]) -> None:
        """Keep them; what is refused there too is kept with its bytes alone. Raises StorageBroken when that fails."""
        try:
            await self.commit(Work(refused=refused), trusting_tails=True)
        except StorageRefused as error:
            log().error("quarantine refuses a row: keeping its bytes alone", error=str(error))
            for one in refused:
                try:
                    await self.commit(Work(refused=[one]), trusting_tails=True)
                except StorageRefused:
                    bare = replace(one, received_at=self._registry.arrived(), topic="", device_id=None, gateway_id="")
                    try:
                        await self.commit(Work(refused=[bare]), trusting_tails=True)
                    except StorageRefused as again:
                        raise StorageBroken(f"quarantine takes nothing: {again}") from again

    async def commit(
        self, work: Work, *, trusting_tails: bool, also: Callable[[Connection], Awaitable[None]] | None = None
    ) -> None:
        """Store this work in one transaction; raises StorageRefused or StorageUnavailable, and then none of it is.

        `trusting_tails`: live readings are judged by what is remembered of their sensors; `also` runs in it too.
        """
        by_sensor: dict[SensorId, list[Reading]] = defaultdict(list)
        for reading in work.readings:
            by_sensor[reading.sensor].append(reading)
        if not trusting_tails:
            self.tails.clear()
        async with self._database.transaction() as connection:
            revisions, outcomes = await self._outcomes(connection, by_sensor, trusting_tails=trusting_tails)
            added, changed = await self.write(connection, outcomes)
            await quarantine.quarantine(connection, work.refused)
            await save_statuses(connection, work.statuses)
            if also is not None:
                await also(connection)
        self._progress.committed()
        self._keep_tails(revisions, outcomes, written=bool(added or changed))
        STORED.inc(added)
        REPEATED.inc(max(0, len(work.readings) - added))
        QUARANTINED.inc(len(work.refused))

    async def write(
        self, connection: Connection, outcomes: Mapping[SensorId, Outcome], by: tuple[str, str] | None = None
    ) -> tuple[int, int]:
        """Write what changes, with all that follows from it; returns how many rows are new and how many changed.

        `by`: the person who changes them, and why.
        """
        outcomes = dict(sorted(outcomes.items()))
        added = [r for o in outcomes.values() for r in o.added]
        changed = [pair for o in outcomes.values() for pair in o.changed]
        await rows.add_readings(connection, added)
        fail_point("ingest.copied")
        await restate_readings(connection, [r for o in outcomes.values() for r in o.repeated])
        await keep_revisions(connection, _revisions(outcomes.values(), by))
        if added or changed:
            calendars = self._registry.validator.calendars
            await rows.change_readings(connection, changed)
            await rows.store(
                connection,
                [
                    rows.LatestRow(
                        o.tail.latest,
                        o.tail.trend_h(self._registry.validator.registry.sensors[s].report_every),
                        o.tail.flat_since,
                    )
                    for s, o in outcomes.items()
                    if o.tail.latest is not None
                ],
                [(o.added, calendars[s]) for s, o in outcomes.items()],
                [after for _, after in changed],
            )
            await recompute_summaries(connection, changed, calendars)
        return len(added), len(changed)

    def _keep_tails(
        self, revisions: Mapping[SensorId, int], outcomes: Mapping[SensorId, Outcome], *, written: bool
    ) -> None:
        """Remember, once it is committed, what the rows say now."""
        for sensor, outcome in outcomes.items():
            if not outcome.tail_is_whole:
                self.tails.pop(sensor, None)
            elif written:
                self.tails[sensor] = (revisions[sensor] + 1, outcome.tail)

    async def _outcomes(
        self, connection: Connection, by_sensor: dict[SensorId, list[Reading]], *, trusting_tails: bool
    ) -> tuple[dict[SensorId, int], dict[SensorId, Outcome]]:
        """Judge every sensor's new readings; live data by the tail alone, late data by what is stored around it.

        Returns each sensor's revision, and what comes of those whose rows change.
        """
        if not by_sensor:
            return {}, {}
        revisions = await self._lock(connection, by_sensor)
        await self.remember(connection, revisions)
        by_sensor, final = await resolve(connection, by_sensor, self._registry.validator.counters)
        outcomes: dict[SensorId, Outcome] = {}
        late: dict[SensorId, QcWindow] = {}
        for sensor in by_sensor:
            tail = self.tails[sensor][1]
            incoming = by_sensor[sensor] = without_known(tail, by_sensor[sensor], final.get(sensor, ()))
            if not incoming:
                continue
            if trusting_tails and follows(tail, incoming) and not self._touches(sensor, tail, incoming):
                limits = self._registry.validator.registry.sensors[sensor].limits
                outcomes[sensor] = append(tail, incoming, limits, self._settings.late_after)
            else:
                late[sensor] = tail
        stored = await readings_at(connection, [(s, r.observed_at) for s in late for r in by_sensor[s]])
        for sensor in list(late):
            again = restated(late[sensor], stored.get(sensor, {}), by_sensor[sensor], final.get(sensor, ()))
            if again is not None:
                del late[sensor]
                if again.repeated:
                    outcomes[sensor] = again
        waiting = iter(late)
        while group := list(islice(waiting, _LATE_TOGETHER)):
            spans = [
                (sensor, start, end)
                for sensor in group
                for start, end in spans_of(by_sensor[sensor], self.margin_of(sensor))
            ]
            around: dict[SensorId, list[list[Reading]]] = defaultdict(list)
            for (sensor, _, _), context in zip(spans, await rows.readings_around(connection, spans), strict=True):
                around[sensor].append(context)
            for sensor in group:
                limits = self._registry.validator.registry.sensors[sensor].limits
                outcome = insert_among(
                    late[sensor], around[sensor], by_sensor[sensor], limits, self._settings.late_after,
                    final=final.get(sensor, ()), corrections=self.corrections.get(sensor, ()),
                )  # fmt: skip
                if any(outcome[1:]):  # else all of it was known
                    outcomes[sensor] = outcome
        return revisions, outcomes

    async def _lock(self, connection: Connection, sensors: Iterable[SensorId]) -> dict[SensorId, int]:
        """Lock the sensors' rows and return the revision of each; a missing row is made, never its readings dropped."""
        wanted = set(sensors)
        revisions = await rows.lock_sensors(connection, wanted)
        if missing := wanted - revisions.keys():
            log().warning("sensors without a row for their newest reading: making it", sensors=sorted(missing)[:20])
            await rows.make_latest(connection, missing)
            revisions = await rows.lock_sensors(connection, wanted)
        if missing := wanted - revisions.keys():
            self._registry.forget()
            raise StorageUnavailable(f"{len(missing)} sensors are not in this database: reading the registry again")
        return revisions

    async def remember(self, connection: Connection, revisions: dict[SensorId, int]) -> None:
        """Make sure that what we know of these sensors is of these revisions: another worker may have written them."""
        unknown = [s for s, revision in revisions.items() if self.tails.get(s, (None, None))[0] != revision]
        if unknown:
            for sensor, (latest, recent, flat) in (await rows.tails(connection, unknown, REACH_BACK)).items():
                self.tails[sensor] = (revisions[sensor], QcWindow(latest, recent, flat))
                self.corrections.pop(sensor, None)
            self.corrections |= await corrections.corrections_in_force(connection, unknown)

    def _touches(self, sensor: SensorId, tail: QcWindow, incoming: list[Reading]) -> bool:
        """Whether people said something of these readings, or of those that they are judged by."""
        found = self.corrections.get(sensor)
        if not found:
            return False
        first = tail.recent[0].observed_at if tail.recent else min(r.observed_at for r in incoming)
        return any(c.ends_at >= first for c in found)

    def margin_of(self, sensor: SensorId) -> timedelta:
        """How far around late readings the flat check looks."""
        limits = self._registry.validator.registry.sensors[sensor].limits
        return limits.flat_after if limits.flat_after and limits.flat_above is not None else timedelta(0)


def _revisions(outcomes: Iterable[Outcome], by: tuple[str, str] | None) -> list[Revision]:
    """What gives way: values, and flags that were stored before. `by`: the person who changes readings, and why."""
    found = []
    for outcome in outcomes:
        found += [Revision(reading, "ingest", why) for reading, why in outcome.outvoted]
        gave_way = {r.observed_at for r, _ in outcome.outvoted}
        for before, after in outcome.changed:
            if by is not None and (before.value != after.value or (before.reasons ^ after.reasons) & BY_PEOPLE):
                found.append(Revision(before, *by))
            elif before.flag != after.flag and before.observed_at not in gave_way:
                found.append(Revision(before, "ingest", "judged anew"))
    return found
