"""The broker's URL: host, port and TLS."""

import ssl
from urllib.parse import SplitResult, parse_qs, urlsplit

from kawamori.errors import ConfigurationError


def broker_address(url: str) -> tuple[SplitResult, str, int, ssl.SSLContext | None]:
    """The URL's parts, host, port, and TLS where it asks for it; raises ConfigurationError."""
    parts = urlsplit(url)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise ConfigurationError("KAWAMORI_MQTT_URL: must look like mqtt://host:port or mqtts://host:port")
    secure = parts.scheme == "mqtts"
    return (
        parts,
        parts.hostname,
        parts.port or (8883 if secure else 1883),
        _trusting(parse_qs(parts.query).get("ca", [None])[0]) if secure else None,
    )


def _trusting(ca: str | None) -> ssl.SSLContext:
    """TLS that believes this file's authority alone, or those of the machine; raises ConfigurationError."""
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"KAWAMORI_MQTT_CA: cannot be read as certificates in PEM: {error}") from error
