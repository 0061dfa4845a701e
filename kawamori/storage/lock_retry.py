"""Take strong locks for housekeeping with a short timeout and retries, so that writers never wait long behind them."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import psycopg

from kawamori.errors import StorageUnavailable
from kawamori.observe import log

#: A transaction that waits for a strong lock blocks all that come after it: no longer than this at once.
LOCK_TIMEOUT = timedelta(milliseconds=500)
#: How long to retry.
PATIENCE = timedelta(minutes=5)

Connection = psycopg.Connection[Any]
T = TypeVar("T")


@contextmanager
def briefly_locking(connection: Connection) -> Iterator[None]:
    """A transaction that gives up after LOCK_TIMEOUT on any lock it does not get."""
    with connection.transaction():
        connection.execute(
            "SELECT set_config('lock_timeout', %s, true)", (f"{LOCK_TIMEOUT // timedelta(milliseconds=1)}ms",)
        )
        yield


def patiently(connection: Connection, what: str, work: Callable[[], T], patience: timedelta = PATIENCE) -> T:
    """Do `work` in a transaction with a short lock timeout, and retry until it got its locks.

    Raises StorageUnavailable when the time is over: nothing was done, and the same may be tried later.
    """
    deadline = time.monotonic() + patience.total_seconds()
    attempt = 0
    while True:
        try:
            with briefly_locking(connection):
                return work()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            attempt += 1
            if time.monotonic() > deadline:
                raise StorageUnavailable(
                    f"{what}: others hold the tables; nothing was done in {patience}, try again later"
                ) from error
            if attempt in (1, 10) or attempt % 100 == 0:
                log().info(f"{what}: giving way to who holds the tables", attempt=attempt)
            time.sleep(random.uniform(0.2, 1.5))  # noqa: S311 - jitter
