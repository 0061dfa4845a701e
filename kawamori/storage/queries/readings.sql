-- name: lock_sensors
-- In order of id, so that two workers never wait for each other in a ring.
SELECT sensor_id, revision FROM latest_reading WHERE sensor_id = ANY(%(sensors)s) ORDER BY sensor_id FOR UPDATE

-- name: bump_sensor
UPDATE latest_reading SET revision = revision + 1 WHERE sensor_id = %(sensor)s

-- name: tails
-- The newest reading of each sensor, and since when its value has not changed. What claims to come from the future is
-- never the newest, should an earlier version have stored it.
SELECT sensor_id, observed_at, value, received_at, flag, reasons, flat_since
FROM latest_reading WHERE sensor_id = ANY(%(sensors)s)
    AND (observed_at IS NULL OR observed_at <= clock_timestamp() + interval '5 minutes')
UNION ALL
SELECT l.sensor_id, r.observed_at, r.value, r.received_at, r.flag, r.reasons, NULL
FROM latest_reading l LEFT JOIN LATERAL (
    SELECT observed_at, value, received_at, flag, reasons FROM reading
    WHERE sensor_id = l.sensor_id AND observed_at <= clock_timestamp() + interval '5 minutes'
    ORDER BY observed_at DESC LIMIT 1
) r ON true
WHERE l.sensor_id = ANY(%(sensors)s) AND l.observed_at > clock_timestamp() + interval '5 minutes'

-- name: recent_readings
-- The last readings of each sensor that its range allows and nobody condemned (reasons 2 and 2048), oldest first; the
-- outer bounds let the planner leave out chunks.
SELECT l.sensor_id, r.observed_at, r.value, r.received_at, r.flag, r.reasons, r.stated_at, r.stated
FROM latest_reading l CROSS JOIN LATERAL (
    SELECT observed_at, value, received_at, flag, reasons, stated_at, stated FROM reading WHERE sensor_id = l.sensor_id
        AND observed_at <= least(l.observed_at, %(latest)s) AND observed_at > least(l.observed_at, %(latest)s) - interval '30 days'
        AND observed_at >= %(earliest)s AND observed_at <= %(latest)s AND reasons & 2050 = 0
    ORDER BY observed_at DESC LIMIT %(limit)s
) r
WHERE l.sensor_id = ANY(%(sensors)s) ORDER BY l.sensor_id, r.observed_at

-- name: readings_around
-- What stands around late readings: everything within the span, and neighbours on both sides. The outer bounds let the
-- planner leave out chunks.
SELECT w.i, r.sensor_id, r.observed_at, r.value, r.received_at, r.flag, r.reasons, r.stated_at, r.stated
FROM unnest(%(sensors)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
    WITH ORDINALITY AS w(sensor_id, start, stop, i)
CROSS JOIN LATERAL (
    (SELECT * FROM reading WHERE sensor_id = w.sensor_id AND observed_at >= %(earliest)s
        AND observed_at < w.start AND observed_at >= w.start - interval '30 days' ORDER BY observed_at DESC LIMIT 32)
    UNION ALL
    (SELECT * FROM reading WHERE sensor_id = w.sensor_id AND observed_at >= %(earliest)s AND observed_at <= %(latest)s
        AND observed_at >= w.start AND observed_at <= w.stop)
    UNION ALL
    (SELECT * FROM reading WHERE sensor_id = w.sensor_id AND observed_at <= %(latest)s
        AND observed_at > w.stop AND observed_at <= w.stop + interval '30 days' ORDER BY observed_at LIMIT 28)
) r
ORDER BY w.i, r.observed_at

-- name: noteworthy
-- Sensors whose newest reading came so late that its clock may be wrong, or lies beyond its limits (reasons 2 and 4096),
-- or of which that was noted.
SELECT sensor_id, beyond_since, clock_timestamp() FROM latest_reading
WHERE (received_at - observed_at > interval '55 minutes' AND received_at > clock_timestamp() - interval '3 hours')
    OR reasons & 4098 <> 0 OR beyond_since IS NOT NULL
ORDER BY sensor_id

-- name: newest_readings
SELECT l.sensor_id, r.observed_at, r.value, r.received_at, r.flag, r.reasons, r.stated_at, r.stated
FROM latest_reading l CROSS JOIN LATERAL (
    SELECT observed_at, value, received_at, flag, reasons, stated_at, stated FROM reading WHERE sensor_id = l.sensor_id
        AND observed_at <= l.observed_at AND observed_at > l.observed_at - interval '2 days'
    ORDER BY observed_at DESC LIMIT %(limit)s
) r
WHERE l.sensor_id = ANY(%(sensors)s) ORDER BY l.sensor_id, r.observed_at DESC

-- name: note_look
UPDATE latest_reading SET beyond_since = %(beyond_since)s
WHERE sensor_id = %(sensor)s

-- name: reflag_latest
-- Other workers read the sensor's recent past again.
UPDATE latest_reading SET revision = revision + 1,
    flag = CASE WHEN observed_at = %(observed_at)s THEN %(flag)s ELSE flag END,
    reasons = CASE WHEN observed_at = %(observed_at)s THEN %(reasons)s ELSE reasons END
WHERE sensor_id = %(sensor)s

-- name: feed_changes
WITH batch AS (
    INSERT INTO ingest_batch (readings, sensor_ids, starts, ends, highs)
    VALUES (%(b_readings)s, %(b_sensors)s, %(b_starts)s, %(b_ends)s, %(b_highs)s)
)
SELECT pg_notify('kawamori_batch', '')

-- name: newest_times
SELECT sensor_id, observed_at FROM latest_reading WHERE observed_at > clock_timestamp() - interval '7 days'

-- name: copy_readings
COPY reading (sensor_id, observed_at, value, flag, reasons, received_at, stated_at, stated) FROM STDIN (FORMAT BINARY)

-- name: change_reading
UPDATE reading r SET value = n.value, flag = n.flag, reasons = n.reasons, received_at = n.received_at,
    stated_at = n.stated_at, stated = n.stated
FROM unnest(%(sensors)s::integer[], %(times)s::timestamptz[], %(values)s::float8[], %(flags)s::smallint[], %(reasons)s::smallint[],
    %(received)s::timestamptz[], %(stated_at)s::timestamptz[], %(stated)s::float8[])
    AS n(sensor_id, observed_at, value, flag, reasons, received_at, stated_at, stated)
WHERE r.sensor_id = n.sensor_id AND r.observed_at = n.observed_at AND r.observed_at >= %(earliest)s AND r.observed_at <= %(latest)s

-- name: reflag_reading
UPDATE reading r SET flag = n.flag, reasons = n.reasons
FROM unnest(%(sensors)s::integer[], %(times)s::timestamptz[], %(flags)s::smallint[], %(reasons)s::smallint[])
    AS n(sensor_id, observed_at, flag, reasons)
WHERE r.sensor_id = n.sensor_id AND r.observed_at = n.observed_at AND r.observed_at >= %(earliest)s AND r.observed_at <= %(latest)s

-- name: store
-- What follows from new readings, in one round trip: each sensor's newest, the hours and days, the row of the change
-- feed. The notice is only the followers' wake-up: they read the rows.
WITH latest AS (
    UPDATE latest_reading l SET observed_at = n.observed_at, value = n.value, flag = n.flag, reasons = n.reasons,
        received_at = n.received_at, trend_h = n.trend_h, flat_since = n.flat_since, revision = l.revision + 1
    FROM unnest(%(sensors)s::integer[], %(times)s::timestamptz[], %(values)s::float8[], %(flags)s::smallint[], %(reasons)s::smallint[], %(received)s::timestamptz[], %(trends)s::float8[], %(flats)s::timestamptz[])
        AS n(sensor_id, observed_at, value, flag, reasons, received_at, trend_h, flat_since)
    WHERE l.sensor_id = n.sensor_id
), hours AS (
    INSERT INTO reading_hour (sensor_id, bucket, n, sum_micro, min, max)
    SELECT * FROM unnest(%(h_sensors)s::integer[], %(h_buckets)s::timestamptz[], %(h_ns)s::integer[], %(h_sums)s::bigint[], %(h_mins)s::float8[], %(h_maxs)s::float8[])
    ON CONFLICT (sensor_id, bucket) DO UPDATE SET n = reading_hour.n + excluded.n,
        sum_micro = reading_hour.sum_micro + excluded.sum_micro,
        min = least(reading_hour.min, excluded.min), max = greatest(reading_hour.max, excluded.max)
), days AS (
    INSERT INTO reading_day (sensor_id, bucket, n, sum_micro, min, max)
    SELECT * FROM unnest(%(d_sensors)s::integer[], %(d_buckets)s::timestamptz[], %(d_ns)s::integer[], %(d_sums)s::bigint[], %(d_mins)s::float8[], %(d_maxs)s::float8[])
    ON CONFLICT (sensor_id, bucket) DO UPDATE SET n = reading_day.n + excluded.n,
        sum_micro = reading_day.sum_micro + excluded.sum_micro,
        min = least(reading_day.min, excluded.min), max = greatest(reading_day.max, excluded.max)
), batch AS (
    INSERT INTO ingest_batch (readings, sensor_ids, starts, ends, highs)
    VALUES (%(b_readings)s, %(b_sensors)s, %(b_starts)s, %(b_ends)s, %(b_highs)s)
)
SELECT pg_notify('kawamori_batch', '')

-- name: make_latest
-- A row for each of these sensors, should it be missing; none for a sensor that does not exist.
INSERT INTO latest_reading (sensor_id) SELECT sensor_id FROM sensor WHERE sensor_id = ANY(%(sensors)s::integer[])
ORDER BY sensor_id ON CONFLICT DO NOTHING
