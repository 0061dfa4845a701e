"""The broker dies or is restarted; what devices were told is stored stays so."""

import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


def quick(*values: Any) -> Any:
    return pytest.param(*values, id="quick")


def full(*values: Any) -> Any:
    return pytest.param(*values, id="full", marks=pytest.mark.slow)


@pytest.mark.parametrize(("kills", "rate", "gap"), [quick(2, 500, 0.6), full(50, 2000, 2.0)])
def test_a_broker_that_is_killed_at_random_moments_costs_nothing(
    kills: int, rate: float, gap: float, site_of: Callable[..., Any]
) -> None:
    site = site_of("gateway", "ingest")
    names = site.register(60)
    times = []
    with site.fleet(names, rate=rate, bad_every=100) as fleet:
        site.flowing(datetime.now(UTC), 20, "at the start")
        for n in range(kills + 1):
            site.talk(fleet, 1, round(rate * gap))
            at = datetime.now(UTC)
            if n == kills:
                site.broker.restart()  # SIGTERM, in good order
            else:
                site.broker.kill()
                site.broker.start()
            times.append(site.flowing(at, 30, f"after the broker's death no. {n + 1}"))
        drained = site.stored_all(fleet, 60)
        stored, refused = site.check(fleet)
    print(
        f"broker kill -9 x{kills} and SIGTERM: {stored:,} journalled, {refused} refused, 0 lost, 0 doubled, flowing "
        f"again after {statistics.median(times):.1f} s median, {max(times):.1f} s worst; drained in {drained:.1f} s; "
        f"{fleet.ledger.repeats} repeats"
    )
    assert max(times) <= 15
    assert stored >= 100_000 or kills < 50
