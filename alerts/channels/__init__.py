"""Ways to reach people, one file each."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

from kawamori.domain.text import lines, one_line
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


def fit(notification: Notification) -> Notification:
    """The message with a subject of one line and a text whose only line break is LF, without hidden characters. Pure.

    What people typed (a name, a reason) goes into subjects and headers: U+2028 would end one for some readers, and a
    mark of direction would turn a number round.
    """
    return replace(
        notification, subject=one_line(notification.subject), body=lines(notification.body),
        payload={name: _fit(part) for name, part in notification.payload.items()},
    )  # fmt: skip


def _fit(value: Any) -> Any:
    if isinstance(value, str):
        return lines(value)
    if isinstance(value, Mapping):
        return {name: _fit(part) for name, part in value.items()}
    return [_fit(part) for part in value] if isinstance(value, (list, tuple)) else value


_LINKS = {
    "ja": {"link": "画面を開く", "acknowledge_link": "確認した（この件だけ）"},
    "en": {"link": "Open the console", "acknowledge_link": "Acknowledge (this incident only)"},
}


def links_of(payload: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(words, URL) of where a reader goes from a message. Pure."""
    words = _LINKS["en" if payload.get("language") == "en" else "ja"]
    return [(word, str(payload[name])) for name, word in words.items() if payload.get(name)]
