"""The registry that readings are validated by: loaded when it has changed, and the last good one kept."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from ingest.validate import IngestValidator
from kawamori.domain.reading import SensorId
from kawamori.domain.registry import Registry
from kawamori.errors import StorageBroken, StorageUnavailable
from kawamori.observe import log
from kawamori.runtime import now
from kawamori.settings import IngestSettings
from kawamori.storage import readings as rows
from kawamori.storage.database import Database
from kawamori.storage.loading import load_registry, registry_state

#: Seconds between two looks for a changed registry when nothing points to one.
_REGISTRY_AGE = 5.0
#: An unregistered name makes the registry be looked at again, but no more often than every so many seconds.
_UNKNOWN_AGE = 1.0


class CurrentRegistry:
    """The registry in use, and the database's clock as it was when the registry was last looked at."""

    def __init__(self, database: Database, settings: IngestSettings, steady: Callable[[], float]) -> None:
        self._database = database
        self._settings = settings
        self._steady = steady
        #: When each sensor was last measured.
        self._newest: dict[SensorId, datetime] = {}
        self.validator = IngestValidator(Registry(version=0), settings, self._newest)
        self._checked = 0.0
        #: Why the newest registry is not the one in use, if so.
        self.trouble: str | None = None
        #: The database's time, and the steady clock's then.
        self._database_time: tuple[datetime, float] | None = None

    async def is_registered(self, gateway: str) -> bool:
        """Whether the gateway is registered and not retired; looks again before it says no."""
        await self.refresh(force=False)
        if gateway not in self.validator.registry.gateways and time.monotonic() - self._checked > _UNKNOWN_AGE:
            await self.refresh(force=True)
        return gateway in self.validator.registry.gateways

    async def refresh(self, *, force: bool) -> bool:
        """Load the registry if it has changed; looks every few seconds, or at once when forced.

        One that cannot be loaded leaves the last good one in use; raises StorageBroken where there is none yet.
        """
        if not force and time.monotonic() - self._checked < _REGISTRY_AGE:
            return False
        async with self._database.transaction() as connection:
            version, at = await registry_state(connection)
        self._database_time = (at, self._steady())
        self._checked = time.monotonic()
        if version == self.validator.registry.version:
            self.trouble = None
            return False
        try:
            validator = IngestValidator(
                await load_registry(self._database, with_rules=False), self._settings, self._newest
            )
        except StorageUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, readings go on by the last registry that loads
            return self._keep(version, error)
        async with self._database.transaction() as connection:
            for sensor, at in (await rows.newest_times(connection)).items():
                self._newest[sensor] = max(at, self._newest.get(sensor, at))
        self.validator = validator
        self.trouble = None
        for problem in validator.registry.problems:
            log().error("a row of the registry cannot be used: mend it", row=problem.subject, why=problem.reason)
        return True

    def _keep(self, version: int, error: Exception) -> bool:
        standing = self.validator.registry.version
        why = f"version {version} cannot be loaded ({type(error).__name__}: {error})"
        if standing == 0:
            raise StorageBroken(f"the registry's {why}: report this with the log") from error
        if self.trouble is None:
            log().error("the registry cannot be loaded: the last good one stays in use; report this with the log",
                        version=version, in_use=standing, exc_info=error)  # fmt: skip
        self.trouble = f"{why}; version {standing} stays in use"
        return False

    def arrived(self) -> datetime:
        """Now, by the database's clock."""
        if self._database_time is None:
            return now()
        at, steady = self._database_time
        return at + timedelta(seconds=self._steady() - steady)

    def warning(self) -> str | None:
        """What a person should mend in the registry."""
        if self.trouble is not None:
            return self.trouble
        found = self.validator.registry.problems
        return f"{len(found)} rows cannot be used, first {found[0].subject}: {found[0].reason}" if found else None

    def forget(self) -> None:
        """Use no registry until it is loaded anew: this one is of another database."""
        self._checked = 0.0
        self.validator = IngestValidator(Registry(version=0), self._settings, self._newest)
