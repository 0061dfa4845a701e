"""Notifications to browsers (Web Push, RFC 8030), encrypted for each; the browser's maker carries them.

The recipient is the subscription as the browser gave it: `{"endpoint": …, "keys": {"p256dh": …, "auth": …}}`.
"""

import base64
import hashlib
import json
from typing import Any
from urllib.parse import urlsplit

from alerts.channels import Undelivered, fit
from alerts.channels.guarded import Guarded
from kawamori.runtime import Clock, now
from kawamori.settings import AlertSettings
from kawamori.storage.outbox import Notification

#: The browsers' makers' push services, always allowed.
HOSTS = (
    "fcm.googleapis.com", "*.push.services.mozilla.com", "*.notify.windows.com",
    "*.push.apple.com",
)  # fmt: skip
#: A push service takes 4096 bytes, of which encryption needs 103 (RFC 8291, 4).
_LARGEST = 4096 - 103
#: Kept for a browser that is away, in seconds: who comes to work in the morning hears of the night.
_KEEP_S = 24 * 3600
_TOKEN_LASTS_S = 12 * 3600
#: An uncompressed point of P-256, and RFC 8291's authentication secret.
_KEY_BYTES, _AUTH_BYTES = 65, 16
_NO_SUBSCRIPTION = "not a subscription to Web Push"


def _unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def subscription(recipient: str) -> dict[str, Any]:
    """The browser's subscription; raises Undelivered when it is none. Pure."""
    try:
        found = json.loads(recipient)
        endpoint, keys = found["endpoint"], found["keys"]
        key, auth = _unpacked(keys["p256dh"]), _unpacked(keys["auth"])
    except (ValueError, KeyError, TypeError):
        raise Undelivered(_NO_SUBSCRIPTION, permanent=True) from None
    if not isinstance(endpoint, str) or len(key) != _KEY_BYTES or key[0] != 4 or len(auth) != _AUTH_BYTES:
        raise Undelivered(_NO_SUBSCRIPTION, permanent=True)
    return {"endpoint": endpoint, "keys": {"p256dh": keys["p256dh"], "auth": keys["auth"]}}


def push_message(notification: Notification) -> bytes:
    """What the page's service worker gets: as much of the text as a push message holds. Pure."""
    notification = fit(notification)
    payload = notification.payload
    message = {
        "key": notification.idempotency_key,
        "title": notification.subject,
        "body": notification.body.removeprefix(notification.subject).strip(),
        "event": notification.event,
        "status": payload.get("status", "actual"),
        "incident_id": notification.incident_id,
        "link": payload.get("link"),
        "acknowledge_link": payload.get("acknowledge_link"),
    }
    while len(body := json.dumps(message, ensure_ascii=False).encode()) > _LARGEST:
        text = str(message["body"]).rstrip("…")
        if not text:
            raise Undelivered("the links alone are too long for Web Push", permanent=True)
        kept = text.encode()[: -max(4, len(body) - _LARGEST)]
        message["body"] = kept.decode("utf-8", "ignore") + ("…" if kept else "")
    return body


class WebPushChannel:
    """Encrypts and posts to the subscription's endpoint."""

    name = "webpush"

    def __init__(self, settings: AlertSettings, http: Guarded, clock: Clock = now) -> None:
        self._settings, self._http, self._clock = settings, http, clock
        self._vapid: Any = None
        if settings.vapid_private_key is not None:
            import pywebpush  # noqa: F401 - now, since it takes half a second; and only where there is Web Push

    async def send(self, notification: Notification) -> str:
        """Post the encrypted message; raises Undelivered. A browser that unsubscribed is a refusal (404, 410)."""
        found = subscription(notification.recipient)
        body, authorization = self._sealed(found, push_message(notification))
        topic = base64.urlsafe_b64encode(hashlib.sha256(notification.idempotency_key.encode()).digest())
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "aes128gcm",
            "TTL": str(_KEEP_S),
            "Urgency": "high",
            "Topic": topic[:32].decode(),  # a second attempt takes the place of the first; another message never does
            "Authorization": authorization,
        }
        return str(await self._http.post(found["endpoint"], body, headers))

    def _sealed(self, found: dict[str, Any], message: bytes) -> tuple[bytes, str]:
        """The message encrypted for that browser, and who we are (RFC 8292); raises Undelivered."""
        s = self._settings
        if s.vapid_private_key is None or s.vapid_subject is None:
            raise Undelivered(
                "Web Push is not set up: KAWAMORI_ALERTS__VAPID_PRIVATE_KEY and KAWAMORI_ALERTS__VAPID_SUBJECT",
                permanent=True,
            )
        from http_ece import ECEException
        from py_vapid import VapidException
        from pywebpush import WebPusher, WebPushException

        if self._vapid is None:
            self._vapid = _vapid(s.vapid_private_key.get_secret_value())
        try:
            sealed = bytes(WebPusher(found).encode(message, content_encoding="aes128gcm")["body"])
        except (ECEException, WebPushException, ValueError):
            raise Undelivered(_NO_SUBSCRIPTION, permanent=True) from None
        parts = urlsplit(found["endpoint"])
        claims = {
            "aud": f"{parts.scheme}://{parts.netloc}",
            "exp": int(self._clock().timestamp()) + _TOKEN_LASTS_S,
            "sub": s.vapid_subject,
        }
        try:
            return sealed, str(self._vapid.sign(claims)["Authorization"])
        except VapidException:
            raise Undelivered(
                "KAWAMORI_ALERTS__VAPID_SUBJECT must look like mailto:duty@city.example", permanent=True
            ) from None


def _vapid(key: str) -> Any:
    """The signer with our private key, PEM or base64url; raises Undelivered."""
    from py_vapid import Vapid02

    key = key.strip().replace("\\n", "\n")
    try:
        return Vapid02.from_pem(key.encode()) if "-----BEGIN" in key else Vapid02.from_string(key)
    except (ValueError, TypeError):
        raise Undelivered("KAWAMORI_ALERTS__VAPID_PRIVATE_KEY cannot be read as a key", permanent=True) from None
