"""Several ingest workers on one shared subscription: one dies or freezes, the others take over its share."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

QUICK, FULL = (2, 1), (4, 6)
SIZES = [pytest.param(*QUICK, id="quick"), pytest.param(2, 6, id="two", marks=pytest.mark.slow),
         pytest.param(*FULL, id="four", marks=pytest.mark.slow)]  # fmt: skip


@pytest.mark.parametrize(("workers", "times"), SIZES)
def test_the_other_workers_take_over_the_share_of_one_that_dies_or_freezes(
    workers: int, times: int, site_of: Callable[..., Any], wait_until: Callable[..., Any]
) -> None:
    names = [f"ingest-{n}" for n in range(workers)]
    site = site_of("gateway", *names)
    devices = site.register(40)
    took: dict[str, list[float]] = {"killed": [], "frozen": []}

    def shares_over(since: datetime, what: str) -> float:
        """Until everything that any device had said by `since` is stored."""
        said = {key for key in list(fleet.ledger.sent) if key[1] <= since}
        newest: dict[str, datetime] = {}
        for name, at in said:
            newest[name] = max(at, newest.get(name, at))
        wanted = len(said)

        def stored() -> bool:
            ((found,),) = site.chain.sql("SELECT count(*) FROM reading WHERE observed_at <= %s", since)
            return bool(found >= wanted)

        wait_until(stored, 90, f"the share of a worker {what} is taken over")
        return (datetime.now(UTC) - since).total_seconds()

    with site.fleet(devices, rate=150, bad_every=50) as fleet:
        site.flowing(datetime.now(UTC), 20, "at the start")
        for n in range(times):
            for how in took:
                site.talk(fleet, 1, 200)
                victim = site.chance.choice(names)
                at = datetime.now(UTC)
                if how == "killed":
                    site.chain.kill(victim)
                else:
                    site.chain.freeze(victim)
                took[how].append(shares_over(at, how))
                if how == "killed":
                    site.chain.launch(victim)
                else:
                    site.chain.thaw(victim)
                site.flowing(datetime.now(UTC), 30, f"after worker no. {n} came back")
        site.stored_all(fleet, 60)
        stored, refused = site.check(fleet)
    print(
        f"{workers} ingest workers, one killed x{times} and one frozen x{times}: {stored:,} journalled, {refused} refused, "
        f"0 lost, 0 doubled; share taken over after {max(took['killed']):.1f} s (killed) and {max(took['frozen']):.1f} s "
        f"(frozen) at worst"
    )
    assert max(took["killed"]) <= 15
    assert max(took["frozen"]) <= 15
