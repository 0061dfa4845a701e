"""The service manager hears that a service runs, and that its event loop turns."""

import asyncio
import configparser
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from kawamori.errors import StorageBroken, StorageUnavailable
from kawamori.runtime import forever, keep_watchdog, notify, run


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """A service manager's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        yield listening


def test_a_service_says_that_it_runs_and_goes_on_saying_so(manager):
    async def service(stop):
        asyncio.get_running_loop().call_later(0.5, os.kill, os.getpid(), signal.SIGTERM)
        await stop.wait()

    run(service)
    manager.setblocking(False)
    said = []
    while True:
        try:
            said.append(manager.recv(100))
        except BlockingIOError:
            break
    assert said[0] == b"READY=1"
    assert said[-1] == b"STOPPING=1"
    assert said.count(b"WATCHDOG=1") >= 3


def test_an_event_loop_that_hangs_says_nothing(manager):
    async def scene():
        watchdog = asyncio.create_task(keep_watchdog())
        await asyncio.sleep(0.05)
        assert manager.recv(100) == b"WATCHDOG=1"
        time.sleep(0.5)  # noqa: ASYNC251 - the loop hangs
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(100)
        watchdog.cancel()

    asyncio.run(scene())


def test_without_a_service_manager_nothing_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert not notify("READY=1")


def test_a_watchdog_that_is_another_process_s_is_left_alone(monkeypatch, manager):
    monkeypatch.setenv("WATCHDOG_PID", "1")

    async def scene():
        async with asyncio.timeout(2):
            await keep_watchdog()

    asyncio.run(scene())


@pytest.mark.parametrize(("error", "level"), [(StorageBroken("x"), "error"), (StorageUnavailable("x"), "warning")])
def test_what_needs_a_person_is_logged_as_an_error(capsys, error, level):
    async def scene():
        stop = asyncio.Event()

        async def work():
            if stop.is_set():
                return
            stop.set()
            raise error

        await forever(work, stop, StorageUnavailable, "database away")

    asyncio.run(scene())
    assert f"[{level}" in capsys.readouterr().out


def test_the_units_start_a_service_again_however_often_it_ends_and_watch_it():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read_string((Path(__file__).parents[2] / "deploy/systemd/kawamori@.service").read_text("utf-8"))
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert unit["Service"]["Type"] == "notify"
    assert unit["Service"]["Restart"] == "always"
    assert 5 <= int(unit["Service"]["WatchdogSec"]) <= 60
