"""Notifications in Microsoft Teams, by the webhook of a workflow; its URL is the key."""

import json
from typing import Any

from alerts.channels import fit, links_of
from alerts.channels.guarded import Guarded
from kawamori.storage.outbox import Notification

#: Where workflows live, always allowed.
HOSTS = ("*.logic.azure.com", "*.api.powerplatform.com")
#: Teams takes 28 KB; a Japanese character is three bytes.
_LONGEST = 6000
_LINES = 60


def _line(text: str, **more: Any) -> dict[str, Any]:
    """A line whose text is no mark-up, whatever it holds."""
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **more}]}


def teams_message(notification: Notification) -> dict[str, Any]:
    """The message: an Adaptive Card with the first line in bold, the rest below, and links. Pure."""
    notification = fit(notification)
    links = links_of(notification.payload)
    rest = notification.body.removeprefix(notification.subject)[:_LONGEST]
    lines = [line for line in rest.splitlines() if line.strip()][:_LINES]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [_line(notification.subject, weight="Bolder", size="Medium"), *map(_line, lines)],
        "actions": [{"type": "Action.OpenUrl", "title": word, "url": url} for word, url in links],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


class TeamsChannel:
    """Posts to a workflow's webhook."""

    name = "teams"

    def __init__(self, http: Guarded) -> None:
        self._http = http

    async def send(self, notification: Notification) -> str:
        """Post the card; raises Undelivered."""
        body = json.dumps(teams_message(notification), ensure_ascii=False).encode()
        return str(await self._http.post(notification.recipient, body, {"Content-Type": "application/json"}))
