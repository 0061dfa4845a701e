"""Signed links that acknowledge the alerts of one incident and nothing else. Pure."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a link lets its holder do: acknowledge an incident's alerts up to one, as one contact."""

    incident: int
    up_to_alert: int
    contact: str
    expires: datetime


def _signature(secret: bytes, text: str) -> str:
    """128 bits of HMAC-SHA256 (RFC 2104)."""
    return urlsafe_b64encode(hmac.digest(secret, text.encode(), sha256)[:16]).rstrip(b"=").decode()


def sign(secret: bytes, incident: int, up_to_alert: int, contact: str, expires: datetime) -> str:
    """The token of a link, safe in an address: `incident.alert.expires.contact.signature`."""
    text = f"{incident}.{up_to_alert}.{int(expires.timestamp())}.{urlsafe_b64encode(contact.encode()).decode()}"
    return f"{text}.{_signature(secret, text)}"


def verify(secret: bytes, token: str, now: datetime) -> Link:
    """What a token allows; raises ValueError when it was not signed here, was changed, or has expired."""
    text, _, signature = token.rpartition(".")
    if not hmac.compare_digest(_signature(secret, text).encode(), signature.encode()):
        raise ValueError("this link was not made here, or was changed")
    incident, alert, expires, contact = text.split(".")
    found = Link(
        incident=int(incident), up_to_alert=int(alert), contact=urlsafe_b64decode(contact).decode(),
        expires=datetime.fromtimestamp(int(expires), UTC),
    )  # fmt: skip
    if found.expires <= now:
        raise ValueError("this link has expired")
    return found
