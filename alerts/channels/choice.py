"""The channels that a site has."""

import ssl

from alerts.channels import Channel, slack, teams, webpush
from alerts.channels.guarded import Guarded
from alerts.channels.line import LineChannel
from alerts.channels.log import LogChannel
from alerts.channels.slack import SlackChannel
from alerts.channels.smtp import SmtpChannel
from alerts.channels.teams import TeamsChannel
from alerts.channels.webhook import WebhookChannel
from alerts.channels.webpush import WebPushChannel
from kawamori.settings import AlertSettings


def make_channels(settings: AlertSettings) -> list[Channel]:
    """Every channel; one that is not set up refuses, and says what to set."""
    tls = ssl.create_default_context()

    def http(*known: str) -> Guarded:
        return Guarded([*known, *settings.webhook_hosts], tls=tls)

    return [
        LogChannel(settings.log),
        SmtpChannel(settings),
        WebhookChannel(settings, http()),
        LineChannel(settings, http(settings.line_url)),
        SlackChannel(http(*slack.HOSTS)),
        TeamsChannel(http(*teams.HOSTS)),
        WebPushChannel(settings, http(*webpush.HOSTS)),
    ]
