"""The broker: how services receive, acknowledge and publish. Only importer of MQTT clients.

`Link` is a service's connection. `kawamori.mqtt.publisher.Publisher` publishes as devices do; it stands apart, because
its client paho is loaded only where it is used.
"""

from kawamori.mqtt.link import Link, Refusal
from kawamori.mqtt.packets import TOO_LARGE, Message

__all__ = ["TOO_LARGE", "Link", "Message", "Refusal"]
