"""The power fails for the whole site; its parts come back in any order."""

import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

SERVICES = ("gateway", "ingest", "alerts", "api")


@pytest.mark.parametrize("times", [pytest.param(1, id="quick"), pytest.param(10, id="full", marks=pytest.mark.slow)])
def test_a_site_that_lost_its_power_comes_back_in_any_order(
    times: int, site_of: Callable[..., Any], wait_until: Callable[..., Any]
) -> None:
    site = site_of(*SERVICES)
    healthy, flowing, orders = [], [], []
    with site.fleet(site.register(40), rate=200, bad_every=50) as fleet:
        site.flowing(datetime.now(UTC), 20, "at the start")
        for n in range(times):
            site.talk(fleet, 1, 400)
            for process in site.chain.processes.values():
                process.kill()
            site.broker.kill()
            site.database.kill()
            for name in SERVICES:
                site.chain.kill(name)
            at = datetime.now(UTC)
            parts = {"broker": site.broker.start, "database": site.database.start}
            parts |= {name: lambda name=name: site.chain.launch(name) for name in SERVICES}
            order = site.chance.sample(sorted(parts), len(parts))
            orders.append(" ".join(order))
            for part in order:
                parts[part]()
            wait_until(lambda: all(map(site.chain.ready, SERVICES)), 90, f"all are ready again; order {orders[-1]}")
            healthy.append((datetime.now(UTC) - at).total_seconds())
            flowing.append(site.flowing(at, 60, f"after the power came back, no. {n + 1}"))
        site.stored_all(fleet, 60)
        stored, refused = site.check(fleet)
    print(
        f"whole site killed x{times}, started in random order: {stored:,} journalled, {refused} refused, 0 lost, 0 "
        f"doubled; healthy after {statistics.median(healthy):.1f} s median, {max(healthy):.1f} s worst; flowing after "
        f"{max(flowing):.1f} s worst"
    )
    assert len(set(orders)) > times / 2
    assert max(healthy) <= 60
