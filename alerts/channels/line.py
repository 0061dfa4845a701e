"""Notifications by LINE: the Messaging API's push message to a user or a group."""

import json
from uuid import NAMESPACE_URL, uuid5

from alerts.channels import Undelivered, fit
from alerts.channels.guarded import Guarded
from kawamori.settings import AlertSettings
from kawamori.storage.outbox import Notification

#: LINE counts UTF-16 code units.
_LONGEST_TEXT = 5000


def clip(text: str, most: int = _LONGEST_TEXT) -> str:
    """The beginning of a text, at most so many UTF-16 code units, never half a character. Pure."""
    units = text.encode("utf-16-le")
    if len(units) <= 2 * most:
        return text
    return units[: 2 * (most - 1)].decode("utf-16-le", "ignore") + "…"


def retry_key(idempotency_key: str) -> str:
    """What tells LINE that two requests are one message (it remembers for 24 hours). Pure."""
    return str(uuid5(NAMESPACE_URL, f"kawamori:{idempotency_key}"))


class LineChannel:
    """Pushes one text message."""

    name = "line"

    def __init__(self, settings: AlertSettings, http: Guarded) -> None:
        self._settings, self._http = settings, http

    async def send(self, notification: Notification) -> str:
        """Push the text; raises Undelivered. That LINE has it already counts as delivered."""
        s = self._settings
        if s.line_token is None:
            raise Undelivered("LINE is not set up: KAWAMORI_ALERTS__LINE_TOKEN", permanent=True)
        body = {"to": notification.recipient, "messages": [{"type": "text", "text": clip(fit(notification).body)}]}
        answer = await self._http.post(
            f"{s.line_url.rstrip('/')}/v2/bot/message/push",
            json.dumps(body, ensure_ascii=False).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {s.line_token.get_secret_value().strip()}",
                "X-Line-Retry-Key": retry_key(notification.idempotency_key),
            },
            accepted=(409,),
        )
        number = answer.headers.get("x-line-accepted-request-id") or answer.headers.get("x-line-request-id", "")
        return f"{answer.status} {'accepted before ' if answer.status == 409 else ''}{number}".rstrip()[:200]
