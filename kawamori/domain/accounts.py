"""Who may act on the site: roles, the rule of names, and tokens."""

import hashlib
import re
import secrets

#: An operator answers alerts; a manager changes rules and people too.
OPERATOR, MANAGER = "operator", "manager"
#: Characters of a name, which stands beside each action in the audit.
LONGEST_NAME = 50
#: C0 and C1 controls, the line and paragraph separators, and the marks that change the direction of writing.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def has_control(text: str) -> bool:
    """Return whether a text holds control characters, which a line of the audit must not."""
    return _CONTROL.search(text) is not None


def is_name(name: str) -> bool:
    """Return whether a name may stand in the audit."""
    return 1 <= len(name) <= LONGEST_NAME and name == name.strip() and not has_control(name)


def new_token() -> str:
    """Return a new token: 32 random bytes from the system's source, as URL-safe base64."""
    return secrets.token_urlsafe(32)


def token_digest(token: str) -> bytes:
    """Return what is stored of a token: its SHA-256 digest."""
    return hashlib.sha256(token.encode()).digest()
