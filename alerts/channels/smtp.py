"""Notifications by e-mail."""

from email.message import EmailMessage
from email.utils import format_datetime

import aiosmtplib

from kawamori.settings import AlertSettings
from kawamori.storage.alerts import Notification


class SmtpChannel:
    """Sends through the site's mail server. The Message-ID is the same at every attempt."""

    name = "smtp"

    def __init__(self, settings: AlertSettings) -> None:
        self._settings = settings

    async def send(self, notification: Notification) -> None:
        """Hand the message to the server; raises aiosmtplib's errors or OSError."""
        s = self._settings
        message = EmailMessage()
        message["From"], message["To"] = s.mail_from, notification.recipient
        message["Subject"] = notification.subject
        message["Date"] = format_datetime(notification.created_at)
        domain = s.mail_from.rpartition("@")[2] or "kawamori"
        message["Message-ID"] = f"<{notification.idempotency_key.replace('@', '.at.')}@{domain}>"
        message.set_content(notification.body)
        await aiosmtplib.send(
            message, hostname=s.smtp_host, port=s.smtp_port, username=s.smtp_user,
            password=s.smtp_password.get_secret_value() if s.smtp_password else None,
            start_tls=s.smtp_starttls, timeout=10,
        )  # fmt: skip
