"""The channels that a site has."""

from alerts.channels import Channel
from alerts.channels.log import LogChannel
from alerts.channels.smtp import SmtpChannel
from kawamori.settings import AlertSettings


def make_channels(settings: AlertSettings) -> list[Channel]:
    """Every channel; one that is not set up refuses, and says what to set."""
    return [LogChannel(settings.log), SmtpChannel(settings)]
