-- name: lock_tails
-- In order of id, so that two workers never wait for each other in a ring.
SELECT sensor_id, observed_at, value, flag, reasons, received_at, flat_since, tail_times, tail_values, tail_flags, tail_reasons
FROM latest_reading WHERE sensor_id = ANY(%(sensors)s) ORDER BY sensor_id FOR UPDATE

-- name: readings_around
-- What stands around late readings: everything within the span, and neighbours on both sides.
SELECT w.i, r.sensor_id, r.observed_at, r.value, r.flag, r.reasons, r.received_at
FROM unnest(%(sensors)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
    WITH ORDINALITY AS w(sensor_id, start, stop, i)
CROSS JOIN LATERAL (
    (SELECT * FROM reading WHERE sensor_id = w.sensor_id
        AND observed_at < w.start AND observed_at >= w.start - interval '30 days' ORDER BY observed_at DESC LIMIT 26)
    UNION ALL
    (SELECT * FROM reading WHERE sensor_id = w.sensor_id AND observed_at >= w.start AND observed_at <= w.stop)
    UNION ALL
    (SELECT * FROM reading WHERE sensor_id = w.sensor_id
        AND observed_at > w.stop AND observed_at <= w.stop + interval '30 days' ORDER BY observed_at LIMIT 14)
) r
ORDER BY w.i, r.observed_at

-- name: copy_readings
COPY reading (sensor_id, observed_at, value, flag, reasons, received_at) FROM STDIN (FORMAT BINARY)

-- name: change_reading
UPDATE reading SET value = %(value)s, flag = %(flag)s, reasons = %(reasons)s, received_at = %(received_at)s
WHERE sensor_id = %(sensor)s AND observed_at = %(observed_at)s

-- name: reflag_reading
UPDATE reading SET flag = %(flag)s, reasons = %(reasons)s
WHERE sensor_id = %(sensor)s AND observed_at = %(observed_at)s

-- name: keep_revision
INSERT INTO reading_revision (sensor_id, observed_at, value, who, why)
VALUES (%(sensor)s, %(observed_at)s, %(value)s, 'ingest', 'two values for one moment: the higher stands')
ON CONFLICT DO NOTHING

-- name: save_tail
UPDATE latest_reading SET observed_at = %(observed_at)s, value = %(value)s, flag = %(flag)s, reasons = %(reasons)s,
    received_at = %(received_at)s, trend_h = %(trend_h)s, flat_since = %(flat_since)s, tail_times = %(tail_times)s,
    tail_values = %(tail_values)s, tail_flags = %(tail_flags)s, tail_reasons = %(tail_reasons)s
WHERE sensor_id = %(sensor)s

-- name: add_to_hours
INSERT INTO reading_hour (sensor_id, bucket, n, sum_micro, min, max)
SELECT * FROM unnest(%(sensors)s::integer[], %(buckets)s::timestamptz[], %(ns)s::integer[], %(sums)s::bigint[], %(mins)s::float8[], %(maxs)s::float8[])
ON CONFLICT (sensor_id, bucket) DO UPDATE SET n = reading_hour.n + excluded.n,
    sum_micro = reading_hour.sum_micro + excluded.sum_micro,
    min = least(reading_hour.min, excluded.min), max = greatest(reading_hour.max, excluded.max)

-- name: add_to_days
INSERT INTO reading_day (sensor_id, bucket, n, sum_micro, min, max)
SELECT * FROM unnest(%(sensors)s::integer[], %(buckets)s::timestamptz[], %(ns)s::integer[], %(sums)s::bigint[], %(mins)s::float8[], %(maxs)s::float8[])
ON CONFLICT (sensor_id, bucket) DO UPDATE SET n = reading_day.n + excluded.n,
    sum_micro = reading_day.sum_micro + excluded.sum_micro,
    min = least(reading_day.min, excluded.min), max = greatest(reading_day.max, excluded.max)

-- name: recompute_hours
-- Buckets in which a stored reading changed, anew from the readings; those left with none disappear.
WITH wanted AS (
    SELECT * FROM unnest(%(sensors)s::integer[], %(buckets)s::timestamptz[], %(stops)s::timestamptz[]) AS w(sensor_id, bucket, stop)
), fresh AS (
    SELECT w.sensor_id, w.bucket, count(*)::integer AS n, sum(round(r.value * 1000000)::bigint)::bigint AS sum_micro,
        min(r.value) AS min, max(r.value) AS max
    FROM wanted w CROSS JOIN LATERAL (SELECT value FROM reading WHERE sensor_id = w.sensor_id
        AND observed_at >= w.bucket AND observed_at < w.stop AND flag NOT IN (4, 9)) r
    GROUP BY 1, 2
), gone AS (
    DELETE FROM reading_hour h USING wanted w WHERE h.sensor_id = w.sensor_id AND h.bucket = w.bucket
        AND NOT EXISTS (SELECT 1 FROM fresh f WHERE f.sensor_id = w.sensor_id AND f.bucket = w.bucket)
)
INSERT INTO reading_hour (sensor_id, bucket, n, sum_micro, min, max) SELECT * FROM fresh ORDER BY 1, 2
ON CONFLICT (sensor_id, bucket) DO UPDATE SET n = excluded.n, sum_micro = excluded.sum_micro, min = excluded.min, max = excluded.max

-- name: recompute_days
WITH wanted AS (
    SELECT * FROM unnest(%(sensors)s::integer[], %(buckets)s::timestamptz[], %(stops)s::timestamptz[]) AS w(sensor_id, bucket, stop)
), fresh AS (
    SELECT w.sensor_id, w.bucket, count(*)::integer AS n, sum(round(r.value * 1000000)::bigint)::bigint AS sum_micro,
        min(r.value) AS min, max(r.value) AS max
    FROM wanted w CROSS JOIN LATERAL (SELECT value FROM reading WHERE sensor_id = w.sensor_id
        AND observed_at >= w.bucket AND observed_at < w.stop AND flag NOT IN (4, 9)) r
    GROUP BY 1, 2
), gone AS (
    DELETE FROM reading_day d USING wanted w WHERE d.sensor_id = w.sensor_id AND d.bucket = w.bucket
        AND NOT EXISTS (SELECT 1 FROM fresh f WHERE f.sensor_id = w.sensor_id AND f.bucket = w.bucket)
)
INSERT INTO reading_day (sensor_id, bucket, n, sum_micro, min, max) SELECT * FROM fresh ORDER BY 1, 2
ON CONFLICT (sensor_id, bucket) DO UPDATE SET n = excluded.n, sum_micro = excluded.sum_micro, min = excluded.min, max = excluded.max

-- name: record_batch
INSERT INTO ingest_batch (readings, sensor_ids, starts, ends)
VALUES (%(readings)s, %(sensors)s, %(starts)s, %(ends)s)

-- name: wake_followers
SELECT pg_notify('kawamori_batch', '')

-- name: quarantine
-- A message that comes again is the same message; a batch sent again changes nothing.
INSERT INTO quarantine (received_at, topic, device_id, reason, payload, gateway_id)
VALUES (%(received_at)s, %(topic)s, %(device_id)s, %(reason)s, %(payload)s, %(gateway_id)s)
ON CONFLICT (topic, digest) DO UPDATE SET came_again_at = greatest(quarantine.came_again_at, excluded.received_at)
WHERE excluded.received_at > quarantine.received_at

-- name: save_status
INSERT INTO device_status (device_id, received_at, status) VALUES (%(device_id)s, %(received_at)s, %(status)s::jsonb)
ON CONFLICT (device_id) DO UPDATE SET received_at = excluded.received_at, status = excluded.status
WHERE excluded.received_at > device_status.received_at
