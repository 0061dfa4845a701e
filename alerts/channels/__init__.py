"""Ways to reach people, one file each."""

from datetime import timedelta
from typing import Protocol

from kawamori.errors import KawamoriError
from kawamori.storage.outbox import Notification


class Undelivered(KawamoriError):
    """A channel did not take a message. The text never holds an address or a secret."""

    retryable = True

    def __init__(self, why: str, *, retry_after: timedelta | None = None, permanent: bool = False) -> None:
        super().__init__(why)
        #: When the other side asked us to come back.
        self.retry_after = retry_after
        #: It would refuse the same again: another channel is tried at once.
        self.permanent = permanent


class Channel(Protocol):
    """A way to reach people."""

    name: str

    async def send(self, notification: Notification) -> str:
        """Deliver, and return what the other side answered; raises Undelivered."""
