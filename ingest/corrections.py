"""Apply what people say of stored readings: corrections, and corrections that were undone."""

from ingest.registry import CurrentRegistry
from ingest.series import amend
from ingest.store import ReadingStore
from kawamori.errors import StorageRefused, StorageUnavailable
from kawamori.observe import log
from kawamori.settings import IngestSettings
from kawamori.storage import corrections
from kawamori.storage import readings as rows
from kawamori.storage.database import Connection, Database


class Corrections:
    """Applies corrections one after the other, the oldest first."""

    def __init__(
        self, database: Database, settings: IngestSettings, registry: CurrentRegistry, store: ReadingStore
    ) -> None:
        self._database = database
        self._settings = settings
        self._registry = registry
        self._store = store

    async def apply_next(self) -> bool:
        """Apply the oldest correction that waits, or take back one that was undone; whether there was any."""
        async with self._store.turn:
            return await self._apply_next()

    async def _apply_next(self) -> bool:
        await self._registry.refresh(force=False)
        waiting = None
        try:
            async with self._database.transaction() as connection:
                waiting = await corrections.next_to_apply(connection)
                if waiting is None:
                    return False
                one = waiting.correction
                changed = await self._apply(connection, waiting)
        except StorageRefused as error:
            if waiting is None:
                raise
            one = waiting.correction
            log().error("the database refuses a correction: undo it", correction=one.id, error=str(error))
            async with self._database.transaction() as connection:
                await corrections.note_refused(connection, one.id, str(error))
            return True
        finally:
            if waiting is not None:
                self._store.tails.pop(waiting.correction.sensor, None)
        log().info("a correction is applied", correction=one.id, sensor=one.sensor, changed=changed)
        return True

    async def _apply(self, connection: Connection, waiting: corrections.ToApply) -> int:
        """Bring the readings of a correction's span to what people say of them; returns how many that changed."""
        one = waiting.correction
        revisions = await rows.lock_sensors(connection, [one.sensor])
        sensor = self._registry.validator.registry.sensors.get(one.sensor)
        if sensor is None or one.sensor not in revisions:
            raise StorageUnavailable("a correction of a sensor that the registry does not know yet")
        self._store.tails.pop(one.sensor, None)
        await self._store.remember(connection, revisions)
        margin = self._store.margin_of(one.sensor)
        span = (one.sensor, one.starts_at - margin, one.ends_at + margin)
        (context,) = await rows.readings_around(connection, [span])
        outcome = amend(
            self._store.tails[one.sensor][1], context, one.starts_at, one.ends_at, sensor.limits,
            self._settings.late_after, self._store.corrections.get(one.sensor, ()),
        )  # fmt: skip
        by = (one.who, one.why) if waiting.undone_by is None else (waiting.undone_by, f"undone: {one.why}")
        _, changed = await self._store.write(connection, {one.sensor: outcome}, by)
        if not changed:  # other workers are to hear of it none the less: what arrives late obeys it
            await rows.bump(connection, one.sensor)
        await corrections.note_applied(connection, one.id)
        return changed
