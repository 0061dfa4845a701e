"""Notifications to other programs: a CloudEvents message over HTTP, signed."""

import hashlib
import hmac
import json
from typing import Any

from alerts.channels import Undelivered, fit
from alerts.channels.guarded import Guarded
from kawamori.runtime import Clock, now
from kawamori.settings import AlertSettings
from kawamori.storage.outbox import Notification


def cloud_event(notification: Notification, source: str) -> dict[str, Any]:
    """The notification as CloudEvents 1.0, structured; `id` is the same at every attempt. Pure."""
    notification = fit(notification)
    alerts = notification.payload.get("alerts") or [{}]
    station = alerts[0].get("station_id")
    return {
        "specversion": "1.0",
        "id": notification.idempotency_key,
        "source": source,
        "type": f"jp.kawamori.alert.{notification.event}",
        "time": notification.created_at.isoformat(),
        **({"subject": station} if station else {}),
        "datacontenttype": "application/json",
        "data": {**notification.payload, "event": notification.event, "subject": notification.subject,
                 "body": notification.body},
    }  # fmt: skip


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """`v1=` and the HMAC-SHA256 of timestamp, full stop and body: who receives it checks both. Pure."""
    return "v1=" + hmac.new(secret.encode(), b"%d.%b" % (timestamp, body), hashlib.sha256).hexdigest()


class WebhookChannel:
    """Posts to a URL. Signed where a secret is set; without one the receiver cannot tell who sends."""

    name = "webhook"

    def __init__(self, settings: AlertSettings, http: Guarded, clock: Clock = now) -> None:
        self._settings, self._http, self._clock = settings, http, clock

    async def send(self, notification: Notification) -> str:
        """Post the event; raises Undelivered."""
        s = self._settings
        if not s.webhook_hosts:
            raise Undelivered("no host may be sent webhooks: KAWAMORI_ALERTS__WEBHOOK_HOSTS", permanent=True)
        body = json.dumps(cloud_event(notification, s.public_url or "/kawamori"), ensure_ascii=False).encode()
        timestamp = int(self._clock().timestamp())
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "Idempotency-Key": json.dumps(notification.idempotency_key),
            "X-Kawamori-Timestamp": str(timestamp),
        }
        if s.webhook_secret is not None:
            headers["X-Kawamori-Signature"] = signature(s.webhook_secret.get_secret_value(), timestamp, body)
        return str(await self._http.post(notification.recipient, body, headers))
