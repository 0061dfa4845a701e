"""Hold what is stored against what the devices were told, and every derived table against a recomputation."""

from collections.abc import Callable
from typing import Any

_HEAD = "kawamori/v1/device/"

#: Rows of a summary that differ from one made anew from the readings; buckets are cut by PostgreSQL, not by us.
_SUMMARY = """
WITH fresh AS (
    SELECT sensor_id, count(*)::integer AS n,
        date_trunc('{unit}', observed_at - CASE WHEN is_amount THEN interval '1 us' ELSE '0' END, time_zone) AS bucket,
        sum(round(value * 1000000)::bigint)::bigint AS sum_micro, min(value) AS min, max(value) AS max
    FROM reading JOIN sensor USING (sensor_id) JOIN station USING (station_id) JOIN quantity USING (quantity)
    WHERE flag NOT IN (4, 9) GROUP BY 1, bucket
)
SELECT count(*) FROM fresh f FULL JOIN reading_{unit} s USING (sensor_id, bucket)
WHERE (f.n, f.sum_micro, f.min, f.max) IS DISTINCT FROM (s.n, s.sum_micro, s.min, s.max)
"""

_LATEST = """
SELECT count(*) FROM latest_reading l LEFT JOIN LATERAL (
    SELECT * FROM reading r WHERE r.sensor_id = l.sensor_id ORDER BY observed_at DESC LIMIT 1) newest ON true
WHERE (l.observed_at, l.value, l.flag, l.reasons) IS DISTINCT FROM
    (newest.observed_at, newest.value, newest.flag, newest.reasons)
"""

_STORED = """
SELECT d.device_id, r.observed_at, r.value FROM reading r
JOIN deployment d ON d.sensor_id = r.sensor_id AND r.observed_at >= d.valid_from
    AND (d.valid_to IS NULL OR r.observed_at < d.valid_to)
"""


def check(sql: Callable[[str], list[Any]], ledger: Any, *, garbage_may_be_lost: bool = False) -> tuple[int, int]:
    """Everything told is stored, once, with its value; nothing else is. Returns how many readings and how many refused.

    Call it when nothing is under way: the fleet has finished and `stored_all` holds.
    """
    rows = sql(_STORED)
    stored = {(device, at): value for device, at, value in rows}
    lost = ledger.told.keys() - stored.keys()
    assert not lost, f"{len(lost)} of {len(ledger.told)} acknowledged readings are lost, e.g. {sorted(lost)[:3]}"
    assert len(rows) == len(stored), f"{len(rows) - len(stored)} readings are stored twice"
    invented = stored.keys() - ledger.sent.keys()
    assert not invented, f"{len(invented)} readings are stored that nobody sent, e.g. {sorted(invented)[:3]}"
    wrong = [key for key, value in stored.items() if value != ledger.sent[key]]
    assert not wrong, f"{len(wrong)} readings have another value, e.g. {wrong[:3]}"
    _check_derived(sql)
    return len(rows), _check_quarantine(sql, ledger, garbage_may_be_lost=garbage_may_be_lost)


def _check_derived(sql: Callable[[str], list[Any]]) -> None:
    for unit in ("hour", "day"):
        ((differing,),) = sql(_SUMMARY.format(unit=unit))
        assert not differing, f"{differing} rows of reading_{unit} differ from a recomputation"
    ((differing,),) = sql(_LATEST)
    assert not differing, f"{differing} rows of latest_reading are not the newest reading"


def _check_quarantine(sql: Callable[[str], list[Any]], ledger: Any, *, garbage_may_be_lost: bool) -> int:
    rows = [(topic.removeprefix(_HEAD).split("/")[0], bytes(payload)) for topic, payload in
            sql("SELECT topic, payload FROM quarantine")]  # fmt: skip
    found = set(rows)
    missing = (ledger.bad_told if garbage_may_be_lost else ledger.bad_told | ledger.garbage) - found
    assert not missing, f"{len(missing)} refused messages are not in quarantine, e.g. {sorted(missing)[:3]}"
    strange = found - ledger.bad_sent - ledger.garbage
    assert not strange, f"{len(strange)} messages are in quarantine that are not bad, e.g. {sorted(strange)[:3]}"
    assert len(rows) == len(found), f"{len(rows) - len(found)} messages are in quarantine twice"
    return len(rows)
