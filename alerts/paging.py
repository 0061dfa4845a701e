"""Is anybody to be told, and of what? Pure."""

from datetime import datetime, timedelta

from alerts.level import Episode, Event


def due(episode: Episode, *, paged: bool, newest: datetime, now: datetime, within: timedelta) -> list[Event]:
    """The events to tell people of now. Old evidence makes a crossing retroactive: in the record, never a page.

    A crossing is told of while fresh readings show it, however long ago it began; its end only if its beginning was.
    """
    evidence = episode.ended_at or newest
    if now - evidence > within:
        return []
    events = [] if paged else [Event.RAISED]
    if episode.ended_at is not None:
        events.append(Event.RESOLVED)
    return events
