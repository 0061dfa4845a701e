"""Notifications by e-mail."""

import re
from email.message import EmailMessage
from email.utils import format_datetime

import aiosmtplib

from alerts.channels import Undelivered, fit
from kawamori.domain.text import one_line
from kawamori.settings import AlertSettings
from kawamori.storage.outbox import Notification

_TIMEOUT_S = 10


class SmtpChannel:
    """Sends through the site's mail server. The Message-ID is the same at every attempt."""

    name = "smtp"

    def __init__(self, settings: AlertSettings) -> None:
        self._settings = settings

    def message(self, notification: Notification) -> EmailMessage:
        """The mail, but for its recipient; mails of one incident are one thread."""
        s, notification = self._settings, fit(notification)
        message = EmailMessage()
        message["From"] = s.mail_from
        message["Subject"] = notification.subject
        message["Date"] = format_datetime(notification.created_at)
        domain = s.mail_from.rpartition("@")[2] or "kawamori"
        message["Message-ID"] = f"<{re.sub(r'[^A-Za-z0-9.=_-]', '.', notification.idempotency_key)}@{domain}>"
        if notification.incident_id is not None:
            message["References"] = message["In-Reply-To"] = f"<incident-{notification.incident_id}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message["X-Kawamori-Status"] = one_line(str(notification.payload.get("status", "actual")))
        message.set_content(notification.body)
        return message

    async def send(self, notification: Notification) -> str:
        """Hand the message to the server; raises Undelivered."""
        s = self._settings
        if s.smtp_host is None:
            raise Undelivered("no mail server is set: KAWAMORI_ALERTS__SMTP_HOST", permanent=True)
        try:
            message = self.message(notification)
        except ValueError as error:  # ours: the address is not to blame, and what it says may change
            raise Undelivered(f"the mail cannot be made: {error}"[:300]) from error
        try:
            message["To"] = notification.recipient
        except ValueError as error:
            raise Undelivered("not an e-mail address", permanent=True) from error
        try:
            _, answer = await aiosmtplib.send(
                message, hostname=s.smtp_host, port=s.smtp_port, username=s.smtp_user,
                password=s.smtp_password.get_secret_value() if s.smtp_password else None,
                start_tls=s.smtp_starttls, timeout=_TIMEOUT_S,
            )  # fmt: skip
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refused.code for refused in error.recipients]
            permanent = all(500 <= code < 600 for code in codes)
            raise Undelivered(f"recipient refused: {codes}", permanent=permanent) from error
        except aiosmtplib.SMTPResponseException as error:
            raise Undelivered(f"{error.code} {error.message}"[:300], permanent=500 <= error.code < 600) from error
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise Undelivered(f"{type(error).__name__}: {error}"[:300]) from error
        return answer[:300]
