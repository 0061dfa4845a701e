"""The channels that a site has."""

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
    own = settings.webhook_hosts
    return [
        LogChannel(settings.log),
        SmtpChannel(settings),
        WebhookChannel(settings, Guarded(own)),
        LineChannel(settings, Guarded([settings.line_url, *own])),
        SlackChannel(Guarded([*slack.HOSTS, *own])),
        TeamsChannel(Guarded([*teams.HOSTS, *own])),
        WebPushChannel(settings, Guarded([*webpush.HOSTS, *own])),
    ]
