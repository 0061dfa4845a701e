"""Ways to reach people, one file each."""

from typing import Protocol

from kawamori.storage.alerts import Notification


class Channel(Protocol):
    """A way to reach people."""

    name: str

    async def send(self, notification: Notification) -> None:
        """Deliver, or raise: then it is tried again."""
