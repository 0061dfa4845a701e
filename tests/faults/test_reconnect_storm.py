"""Thousands of devices with TLS lose the broker in the same second, and come back."""

import os
import shutil
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kawamori.operate.servers import BrokerServer, free_port

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

#: As docs/operations.md advises for devices, in seconds.
JITTER = (1.0, 10.0)


class SecureBroker(BrokerServer):
    """A broker with a second listener for TLS, whose certificate a throw-away authority has signed."""

    def __init__(self) -> None:
        super().__init__()
        self.tls_port = free_port()
        self.ca = self.folder / "ca.pem"
        self._sign()

    @property
    def tls_url(self) -> str:
        return f"mqtts://127.0.0.1:{self.tls_port}"

    def _sign(self) -> None:
        def openssl(*words: str) -> None:
            subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=a test's authority")
        openssl("req", *curve[:-2], "-keyout", "broker.key", "-out", "broker.csr", "-subj", "/CN=127.0.0.1")
        (self.folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", "broker.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", "san", "-out", "broker.pem")  # fmt: skip
        owner = self.folder.stat()
        for name in ("ca.pem", "broker.pem", "broker.key"):
            os.chown(self.folder / name, owner.st_uid, owner.st_gid)

    def _command(self) -> list[str]:
        command = super()._command()
        conf = Path(command[-1])
        conf.write_text(
            f"{conf.read_text()}listener {self.tls_port} 127.0.0.1\ncertfile {self.folder}/broker.pem\n"
            f"keyfile {self.folder}/broker.key\n"
        )
        return command


@pytest.fixture
def secure_broker() -> Iterator[SecureBroker]:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed: no throw-away certificate can be made")
    broker = SecureBroker()
    try:
        yield broker.start()  # type: ignore[misc]
    finally:
        broker.close()


@pytest.mark.parametrize(
    "devices", [pytest.param(100, id="quick"), pytest.param(3000, id="full", marks=pytest.mark.slow)]
)
def test_every_device_comes_back_after_the_broker_died(
    devices: int, secure_broker: SecureBroker, site_of: Callable[..., Any], wait_until: Callable[..., Any]
) -> None:
    broker = secure_broker
    site = site_of(
        "gateway", "ingest", broker=broker, KAWAMORI_MQTT_URL=broker.tls_url, KAWAMORI_MQTT_CA=str(broker.ca)
    )
    names = site.register(devices)
    trusting = ssl.create_default_context(cafile=broker.ca)
    rate = devices / 10
    with site._devices(
        broker.tls_url, names, seed=site.seed, tls=trusting, connections=devices, rate=rate, reconnect_after=JITTER,
        repeat_after=20.0,
    ) as fleet:  # fmt: skip
        wait_until(lambda: fleet.up == devices, 120, "every device is connected")
        site.talk(fleet, devices // 4, devices // 2, 90)
        broker.kill()
        wait_until(lambda: fleet.up == 0, 20, "every device knows that the broker is gone")
        at = datetime.now(UTC)
        broker.start()
        begun = time.monotonic()
        back: list[float] = []

        def count() -> None:
            while len(back) < devices and time.monotonic() - begun < 120:
                back.extend([time.monotonic() - begun] * (fleet.up - len(back)))
                time.sleep(0.05)

        counting = threading.Thread(target=count, name="count")
        counting.start()
        wait_until(lambda: fleet.up == devices, 120, "every device is back")
        counting.join()
        site.talk(fleet, 50, 100, 60)
        site.stored_all(fleet, 60)
    told = len(fleet.ledger.told)
    stored, _ = site.check(fleet)
    newest = max(t for _, t in fleet.ledger.told)
    print(
        f"reconnect storm: {devices} TLS devices, broker kill -9: half back after {statistics.median(back):.1f} s, all"
        f" after {back[-1]:.1f} s; {stored} readings, {told} told, 0 lost, newest {(newest - at).total_seconds():.0f} s"
        " after the broker's return"
    )
    assert back[-1] <= 60


def test_a_certificate_of_another_authority_is_not_believed(
    secure_broker: SecureBroker, tmp_path: Path, site_of: Callable[..., Any]
) -> None:
    site = site_of(broker=secure_broker, KAWAMORI_MQTT_URL=secure_broker.tls_url)
    command = ["kawamori.cli", "check"]

    def check(**more: str) -> subprocess.CompletedProcess[str]:
        environment = {**site.chain.environment, **more}
        return subprocess.run([sys.executable, "-m", *command], env=environment, capture_output=True, text=True)

    assert check(KAWAMORI_MQTT_CA=str(secure_broker.ca)).stdout.endswith("broker: answers\n")
    assert "no answer within 5 s" in check().stderr
    (tmp_path / "no.pem").write_text("no certificate")
    wrong = check(KAWAMORI_MQTT_CA=str(tmp_path / "no.pem"))
    assert wrong.returncode == 2
    assert "KAWAMORI_MQTT_CA" in wrong.stderr
