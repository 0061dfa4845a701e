"""Read model of the incidents: pages of them with the alerts that belong to each."""

from dataclasses import dataclass
from datetime import datetime

from kawamori.storage.database import Database
from kawamori.storage.page_keys import LARGEST_ID


@dataclass(frozen=True, slots=True)
class ListedIncident:
    """An incident: a river's flood wave, or the equipment's troubles, with the alerts that are announced together."""

    id: int
    topic: str
    river: str | None
    status: str
    opened_at: datetime
    closed_at: datetime | None
    escalation: str | None
    step: int
    round: int
    escalate_at: datetime | None
    alerts: list[int]


async def incidents_page(
    database: Database, *, is_open: bool | None = None, before: int = LARGEST_ID, limit: int
) -> list[ListedIncident]:
    """Incidents, the newest first, older than the id `before`."""
    rows = await database.fetch("incidents_page", {"before_id": before, "open": is_open, "limit": limit})
    return [ListedIncident(*row) for row in rows]
