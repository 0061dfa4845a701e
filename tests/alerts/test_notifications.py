"""A fresh crossing reaches people once, by log and by mail, also when the mail server is away at first."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from kawamori.operate.servers import free_port
from kawamori.storage.registry import SensorPlan, StationPlan

pytestmark = pytest.mark.integration

SINCE = datetime(2020, 1, 1, tzinfo=UTC)


class Mailbox:
    """A mail server's inbox that refuses the first message for now."""

    def __init__(self) -> None:
        self.refused = 0
        self.messages: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if not self.refused:
            self.refused += 1
            return "451 try again later"
        self.messages.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"


def plan(name: str) -> StationPlan:
    return StationPlan(
        station_id=name, name_ja=name, name_en=name, river_id="r", river_name_ja="川", river_name_en="River",
        valid_from=SINCE, thresholds={1: 2.0, 2: 3.0},
        sensors=(SensorPlan(quantity="water_level", device_id=f"dev-{name}", valid_from=SINCE),),
    )  # fmt: skip


def test_a_fresh_crossing_is_told_once_and_an_old_one_never(
    fresh_chain_of: Callable[..., Any], payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    inbox, port = Mailbox(), free_port()
    chain = fresh_chain_of(
        KAWAMORI_ALERTS__SMTP_HOST="127.0.0.1", KAWAMORI_ALERTS__SMTP_PORT=str(port),
        KAWAMORI_ALERTS__MAIL_TO='["duty@city.example"]',
    )  # fmt: skip
    chain.register([plan("fresh"), plan("old")])
    chain.start("gateway", "ingest", "alerts")
    now = datetime.now(UTC)

    def at(**ago: float) -> str:
        return (now - timedelta(**ago)).isoformat()

    chain.publish(
        [("dev-fresh", payload(at(seconds=20), 1.0)), ("dev-fresh", payload(at(seconds=10), 2.2))]
        + [("dev-old", payload(at(hours=5, minutes=-i), v)) for i, v in enumerate([1.0, 2.5, 3.5, 1.0])]
    )
    wait_until(lambda: len(chain.sql("SELECT 1 FROM alert")) == 3, 10, "three crossings are recorded")
    told = "SELECT station_id, flood_level, retroactive, paged_at IS NOT NULL FROM alert ORDER BY 1, 2"
    assert chain.sql(told) == [("fresh", 1, False, True), ("old", 1, True, False), ("old", 2, True, False)]
    wait_until(
        lambda: chain.sql("SELECT 1 FROM notification WHERE attempts > 0 AND channel = 'smtp'"), 10, "mail is tried"
    )
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        wait_until(lambda: inbox.messages, 30, "the mail arrives once its server is back")
    finally:
        controller.stop()
    assert inbox.refused == 1
    (mail,) = inbox.messages
    assert mail["To"] == "duty@city.example"
    assert mail["Subject"].startswith("【L1 水防団待機】")
    assert mail["Message-ID"]
    lines = [json.loads(line) for line in (chain.folder / "notifications.log").read_text().splitlines()]
    assert [line["subject"] for line in lines] == [mail["Subject"]]


def test_a_kill_between_commit_and_delivery_loses_no_notification(
    fresh_chain_of: Callable[..., Any], payload: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    chain = fresh_chain_of()
    stations = [f"s{i}" for i in range(5)]
    chain.register([plan(s) for s in stations])
    chain.start("gateway", "ingest", "alerts")
    for s in stations:
        chain.publish([(f"dev-{s}", payload(datetime.now(UTC).isoformat(), 2.5))])
        chain.kill("alerts")
        chain.start("alerts")
    wait_until(
        lambda: chain.sql("SELECT count(*) FROM notification WHERE delivered_at IS NOT NULL AND event <> 'notice'")
        == [(len(stations),)],
        30, "every crossing is told",
    )  # fmt: skip
    lines = map(json.loads, (chain.folder / "notifications.log").read_text().splitlines())
    told = {line["alert_id"] for line in lines if line["event"] != "notice"}  # that an engine dies is told too
    assert told == {a for (a,) in chain.sql("SELECT alert_id FROM alert")}
