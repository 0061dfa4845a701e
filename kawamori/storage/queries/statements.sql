-- name: restate_reading
-- Stated once more: until an older statement of another value comes, that changes nothing that anybody sees.
UPDATE reading r SET stated_at = greatest(r.stated_at, n.stated_at)
FROM unnest(%(sensors)s::integer[], %(times)s::timestamptz[], %(stated_at)s::timestamptz[]) AS n(sensor_id, observed_at, stated_at)
WHERE r.sensor_id = n.sensor_id AND r.observed_at = n.observed_at AND r.observed_at >= %(earliest)s AND r.observed_at <= %(latest)s

-- name: keep_revision
-- What a moment was once said to be. The same again adds nothing: a value or flag that goes to and fro fills no table.
INSERT INTO reading_revision (sensor_id, observed_at, value, flag, reasons, who, why)
VALUES (%(sensor)s, %(observed_at)s, %(value)s, %(flag)s, %(reasons)s, %(who)s, %(why)s)
ON CONFLICT DO NOTHING

-- name: statements_of
-- What each device last stated about these moments, where several measure for one sensor.
SELECT s.sensor_id, s.observed_at, s.device_id, s.value, s.stated_at, s.disputed
FROM unnest(%(sensors)s::integer[], %(times)s::timestamptz[]) AS w(sensor_id, observed_at)
JOIN reading_statement s USING (sensor_id, observed_at)

-- name: readings_at
-- What stands at these moments.
SELECT r.sensor_id, r.observed_at, r.value, r.received_at, r.flag, r.reasons, r.stated_at, r.stated
FROM unnest(%(sensors)s::integer[], %(times)s::timestamptz[]) AS w(sensor_id, observed_at)
JOIN reading r USING (sensor_id, observed_at)
WHERE r.observed_at >= %(earliest)s AND r.observed_at <= %(latest)s

-- name: put_statement
INSERT INTO reading_statement (sensor_id, observed_at, device_id, value, stated_at, disputed)
VALUES (%(sensor)s, %(observed_at)s, %(device)s, %(value)s, %(stated_at)s, %(disputed)s)
ON CONFLICT (sensor_id, observed_at, device_id) DO UPDATE SET value = excluded.value, stated_at = excluded.stated_at,
    disputed = excluded.disputed

-- name: drop_statement
DELETE FROM reading_statement WHERE sensor_id = %(sensor)s AND observed_at = %(observed_at)s AND device_id = %(device)s

-- name: totals_around
-- A counter's totals: all of the span, the one before it and the one after it.
SELECT * FROM (
(SELECT observed_at, total, stated_at, disputed, received_at FROM counter_total WHERE sensor_id = %(sensor)s
    AND device_id = %(device)s AND observed_at < %(start)s ORDER BY observed_at DESC LIMIT 1)
UNION ALL
(SELECT observed_at, total, stated_at, disputed, received_at FROM counter_total WHERE sensor_id = %(sensor)s
    AND device_id = %(device)s AND observed_at >= %(start)s AND observed_at <= %(end)s)
UNION ALL
(SELECT observed_at, total, stated_at, disputed, received_at FROM counter_total WHERE sensor_id = %(sensor)s
    AND device_id = %(device)s AND observed_at > %(end)s ORDER BY observed_at LIMIT 1)
) found

-- name: put_total
INSERT INTO counter_total (sensor_id, device_id, observed_at, total, stated_at, disputed, received_at)
VALUES (%(sensor)s, %(device)s, %(observed_at)s, %(total)s, %(stated_at)s, %(disputed)s, %(received_at)s)
ON CONFLICT (sensor_id, device_id, observed_at) DO UPDATE SET total = excluded.total, stated_at = excluded.stated_at,
    disputed = excluded.disputed, received_at = excluded.received_at
