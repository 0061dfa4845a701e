"""Notifications in Slack, by an incoming webhook; its URL is the key."""

import json
from typing import Any

from alerts.channels import fit, links_of
from alerts.channels.guarded import Guarded
from kawamori.storage.outbox import Notification

#: Where incoming webhooks live, always allowed.
HOSTS = ("hooks.slack.com", "hooks.slack-gov.com")
#: Slack's limits of a header and of a section.
_HEADER, _SECTION = 150, 2900


def escaped(text: str) -> str:
    """Text in which Slack finds no mark-up. Pure."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def slack_message(notification: Notification) -> dict[str, Any]:
    """The message: the first line as header, the rest below it, and where to go from here. Pure."""
    notification = fit(notification)
    payload = notification.payload
    rest = notification.body.removeprefix(notification.subject).strip() or notification.subject
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": notification.subject[:_HEADER], "emoji": False}},
        {"type": "section", "text": {"type": "plain_text", "text": rest[:_SECTION], "emoji": False}},
    ]
    if links := [f"<{escaped(url)}|{word}>" for word, url in links_of(payload)]:
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": "　".join(links)}})
    # previews would fetch the links, and one of them answers for somebody
    return {"text": escaped(notification.subject), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


class SlackChannel:
    """Posts to an incoming webhook."""

    name = "slack"

    def __init__(self, http: Guarded) -> None:
        self._http = http

    async def send(self, notification: Notification) -> str:
        """Post the message; raises Undelivered."""
        body = json.dumps(slack_message(notification), ensure_ascii=False).encode()
        return str(await self._http.post(notification.recipient, body, {"Content-Type": "application/json"}))
