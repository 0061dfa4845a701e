"""The line between a gateway and its broker: narrow and lossy, silent, half open, cut."""

import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kawamori.operate.servers import free_port

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

RELAY = Path(__file__).with_name("relay.py")
PREPARE = """
ip link set lo mtu 1500 up
tc qdisc add dev lo root tbf rate 64kbit burst 3000 latency 2s
nft add table ip line
nft add chain ip line in '{ type filter hook input priority 0; }'
nft add rule ip line in numgen random mod 5 == 0 counter drop
nft add rule ip line in counter
"""


@contextmanager
def narrow_line(port: int, folder: Path) -> Iterator[tuple[int, int]]:
    """A network namespace whose every packet goes through 64 kbit/s and is lost one time in five.

    Yields the process to enter it by, and the port in there that leads to `port` out here.
    """
    for program in ("unshare", "nsenter", "ip", "tc", "nft"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed (`deploy/setup.py test` as root installs it)")
    inside = free_port()
    socket_path = folder / "line"
    with ExitStack() as stack, (folder / "line.log").open("ab") as log:
        outer = subprocess.Popen(
            [sys.executable, str(RELAY), str(socket_path), f"127.0.0.1:{port}"], stdout=subprocess.PIPE, stderr=log
        )
        stack.callback(ended, outer)
        assert outer.stdout
        assert outer.stdout.readline()
        inner = subprocess.Popen(
            ["unshare", "-n", "sh", "-ec", f"{PREPARE}exec {sys.executable} {RELAY} 127.0.0.1:{inside} {socket_path}"],
            stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip
        stack.callback(ended, inner)
        assert inner.stdout
        if not inner.stdout.readline():
            pytest.skip(f"no such line on this machine: {(folder / 'line.log').read_text()[-300:]}")
        yield inner.pid, inside


def packets(pid: int) -> tuple[int, int]:
    """How many packets the line has lost, and how many it let through."""
    listing = subprocess.run(
        ["nsenter", "-t", str(pid), "-n", "nft", "list", "ruleset"], check=True, capture_output=True, text=True
    ).stdout
    dropped, passed = (int(count) for count in re.findall(r"packets (\d+)", listing))
    return dropped, passed


def ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


@pytest.mark.parametrize("seconds", [pytest.param(6, id="quick"), pytest.param(180, id="full", marks=pytest.mark.slow)])
def test_a_narrow_line_that_loses_every_fifth_packet_loses_no_reading(
    seconds: float, site_of: Callable[..., Any], delays_of: Callable[..., Any], tmp_path: Path
) -> None:
    rate = 1.0
    site = site_of("ingest", KAWAMORI_GATEWAY__RESEND_AFTER="PT3S", KAWAMORI_GATEWAY__HEALTH_PORT="0")
    chain = site.chain
    names = site.register(20)
    with narrow_line(site.broker.port, tmp_path) as (pid, port):
        chain.processes["gateway"] = subprocess.Popen(
            ["nsenter", "-t", str(pid), "-n", sys.executable, "-m", "kawamori.cli", "gateway"],
            env={**chain.environment, "KAWAMORI_MQTT_URL": f"mqtt://127.0.0.1:{port}"},
            stdout=chain.log, stderr=chain.log, cwd=chain.folder,
        )  # fmt: skip
        try:
            with site.fleet(names, rate=rate, probe=None, repeat_after=20.0) as fleet:
                site._wait_until(lambda: len(fleet.ledger.told) > 0, 60, "a first reading has come through")
                at = datetime.now(UTC)
                begun = time.monotonic()
                site._wait_until(lambda: time.monotonic() - begun > seconds, seconds + 5, "time passes")
                site.stored_all(fleet, 120)
            stored, _ = site.check(fleet)
            dropped, passed = packets(pid)
        finally:
            ended(chain.processes.pop("gateway"))
    lags = [lag for measured, lag in delays_of(chain, names) if measured >= at]
    p95 = statistics.quantiles(lags, n=20)[-1]
    print(
        f"64 kbit/s with 20 % of all packets dropped (tbf and nftables, both directions share the line;"
        f" {dropped} of {dropped + passed}): {stored}"
        f" readings at {rate:g}/s, 0 lost, lag p50 {statistics.median(lags):.1f} s, p95 {p95:.1f} s"
    )
    assert 0.1 < dropped / (dropped + passed) < 0.3
    assert p95 <= 60


@pytest.mark.parametrize(
    "long", [pytest.param(False, id="quick"), pytest.param(True, id="full", marks=pytest.mark.slow)]
)
def test_a_line_that_is_cut_or_half_open_or_silent_loses_no_reading(
    long: bool, site_of: Callable[..., Any], proxy_to: Callable[..., Any]
) -> None:
    """The long half waits for keep-alives, which is what finds a dead connection that says nothing."""
    site = site_of("ingest")
    chain = site.chain
    names = site.register(20)
    figures = []
    with proxy_to(site.broker.port) as line:
        chain.environment["KAWAMORI_MQTT_URL"] = f"mqtt://127.0.0.1:{line.port}"
        chain.start("gateway")
        with site.fleet(names, rate=200) as fleet:
            site.flowing(datetime.now(UTC), 20, "at the start")
            line.to_server.slice, line.to_client.slice, line.to_client.latency = 7, 11, 0.002
            site.flowing(datetime.now(UTC), 20, "in slices of a few bytes")
            line.to_server.slice = line.to_client.slice = 65536
            line.to_client.latency = 0.0
            for _ in range(5 if long else 2):
                before = line.accepted
                line.reset()
                site._wait_until(lambda before=before: line.accepted >= before + 2, 20, "both links are made anew")
                figures.append(site.flowing(datetime.now(UTC), 20, "after a RST"))
            if long:
                figures += half_open_and_silent(site, line)
            site.stored_all(fleet, 40)
        stored, _ = site.check(fleet)
        chain.kill("gateway")
        del chain.processes["gateway"]
    print(
        f"uplink: {stored} stored, 0 lost; flowing after a RST {max(figures[:2]):.1f} s"
        + (f"; half-open links replaced after {figures[-3]:.1f} s; a silent broker known after {figures[-2]:.1f} s and"
           f" flowing {figures[-1]:.1f} s after its silence" if long else "")
    )  # fmt: skip
    assert not long or figures[-3] <= 30
    assert not long or figures[-2] <= 30


def half_open_and_silent(site: Any, line: Any) -> tuple[float, float, float]:
    """Seconds until half-open links were replaced, a black hole was known, and from its end to the next commit."""
    before, at = line.accepted, time.monotonic()
    line.leave_half_open()
    site._wait_until(lambda: line.accepted >= before + 2, 40, "both links are made anew")
    replaced = time.monotonic() - at
    site.flowing(datetime.now(UTC), 20, "after a half-open line")
    at = time.monotonic()
    line.silence()
    site._wait_until(lambda: not site.chain.ready("gateway"), 40, "the gateway knows that nobody answers")
    known = time.monotonic() - at
    line.silence(yes=False)
    return replaced, known, site.flowing(datetime.now(UTC), 40, "after the black hole")
