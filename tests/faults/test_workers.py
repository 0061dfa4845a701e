"""Several ingest workers on one shared subscription: one dies or freezes, the others take over its share."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

BUSY = " beside programs that take all cores"
SLOW = pytest.mark.slow
SIZES = [
    pytest.param(2, 1, False, id="quick"), pytest.param(2, 1, True, id="quick-busy"),
    pytest.param(2, 4, False, id="two", marks=SLOW), pytest.param(4, 4, False, id="four", marks=SLOW),
    pytest.param(2, 4, True, id="two-busy", marks=SLOW), pytest.param(4, 4, True, id="four-busy", marks=SLOW),
]  # fmt: skip


def freeze_in_a_transaction(site: Any, victim: str) -> None:
    """Freeze a worker while it holds the locks of the sensors that it writes: the worst moment."""
    process = psutil.Process(site.chain.processes[victim].pid)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        site.chain.freeze(victim)
        ports = [c.laddr.port for c in process.net_connections() if c.raddr and c.raddr.port == site.database.port]
        holding = site.chain.sql(
            "SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l USING (pid) WHERE client_port = ANY(%s)"
            " AND l.mode = 'RowShareLock' AND l.relation = 'latest_reading'::regclass", ports,
        )  # fmt: skip
        if holding[0][0]:
            return
        site.chain.thaw(victim)
        time.sleep(site.chance.uniform(0, 0.03))
    pytest.fail(f"{victim} never froze in a transaction")


@pytest.mark.parametrize(("workers", "times", "busy"), SIZES)
def test_the_other_workers_take_over_the_share_of_one_that_dies_or_freezes(
    workers: int, times: int, busy: bool, site_of: Callable[..., Any], wait_until: Callable[..., Any],
    busy_machine: Callable[[bool], None],
) -> None:  # fmt: skip
    names = [f"ingest-{n}" for n in range(workers)]
    site = site_of("gateway", *names)
    devices = site.register(40)
    took: dict[str, list[float]] = {"killed": [], "frozen": []}

    def all_stored_until(since: datetime, what: str) -> float:
        """Until everything is stored that had been measured by `since`, whichever worker it was meant for."""
        wanted = sum(at <= since for _, at in list(fleet.ledger.sent))

        def stored() -> bool:
            ((found,),) = site.chain.sql("SELECT count(*) FROM reading WHERE observed_at <= %s", since)
            return bool(found >= wanted)

        wait_until(stored, 40, f"the share of a worker {what} is taken over")
        return (datetime.now(UTC) - since).total_seconds()

    busy_machine(busy)
    with site.fleet(devices, rate=150, bad_every=50) as fleet:
        site.flowing(datetime.now(UTC), 20, "at the start")
        for n in range(times):
            for how in took:
                site.talk(fleet, 1, 200)
                victim = site.chance.choice(names)
                if how == "killed":
                    site.chain.kill(victim)
                elif n % 2 == 0:
                    site.chain.freeze(victim)
                else:
                    freeze_in_a_transaction(site, victim)
                at = datetime.now(UTC)
                site.talk(fleet, 200, 400)
                took[how].append(max(all_stored_until(at, how), all_stored_until(datetime.now(UTC), how)))
                if how == "killed":
                    site.chain.launch(victim)
                else:
                    site.chain.thaw(victim)
                site.flowing(datetime.now(UTC), 30, f"after worker no. {n} came back")
        site.stored_all(fleet, 60)
        stored, refused = site.check(fleet)
    print(
        f"{workers} ingest workers{BUSY * busy}, one killed x{times} and one frozen x{times}: {stored:,} journalled, "
        f"{refused} refused, 0 lost, 0 doubled; share taken over after {max(took['killed']):.1f} s (killed) and "
        f"{max(took['frozen']):.1f} s (frozen) at worst"
    )
    assert max(took["killed"]) <= 15
    assert max(took["frozen"]) <= 15
