"""How long a reading took from its measurement to its commit."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg


def delays(chain: Any, devices: Sequence[str]) -> list[tuple[datetime, float]]:
    """Of each of these devices' readings when it was measured, and the seconds from then to its commit."""
    with psycopg.connect(chain.database_url) as connection:
        connection.execute(
            "CREATE TEMP TABLE touched AS SELECT committed_at, t.* FROM ingest_batch,"
            " unnest(sensor_ids, starts, ends) AS t(sensor, start, stop)"
        )
        connection.execute("CREATE INDEX ON touched (sensor, stop)")
        rows = connection.execute(
            "SELECT observed_at, extract(epoch FROM b.at - r.observed_at)"
            " FROM reading r JOIN deployment USING (sensor_id)"
            " CROSS JOIN LATERAL (SELECT min(committed_at) AS at FROM touched t"
            "   WHERE t.sensor = r.sensor_id AND t.stop >= r.observed_at AND t.start <= r.observed_at) b"
            " WHERE device_id = ANY(%s)", (list(devices),),
        )  # fmt: skip
        return [(at, float(delay)) for at, delay in rows]
