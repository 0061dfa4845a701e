-- name: lock_sensors
-- In order of id, so that two workers never wait for each other in a ring.
SELECT sensor_id, revision FROM latest_reading WHERE sensor_id = ANY(%(sensors)s) ORDER BY sensor_id FOR UPDATE

-- name: tails
-- The newest reading of each sensor, and since when its value has not changed.
SELECT sensor_id, observed_at, value, received_at, flag, reasons, flat_since
FROM latest_reading WHERE sensor_id = ANY(%(sensors)s)

-- name: recent_readings
-- The last readings of each sensor that its range allows (reason 2 is RANGE), oldest first; the outer bounds let the
-- planner leave out chunks.
SELECT l.sensor_id, r.observed_at, r.value, r.received_at, r.flag, r.reasons
FROM latest_reading l CROSS JOIN LATERAL (
    SELECT observed_at, value, received_at, flag, reasons FROM reading WHERE sensor_id = l.sensor_id
        AND observed_at <= l.observed_at AND observed_at > l.observed_at - interval '30 days'
        AND observed_at >= %(earliest)s AND observed_at <= %(latest)s AND reasons & 2 = 0
    ORDER BY observed_at DESC LIMIT %(limit)s
) r
WHERE l.sensor_id = ANY(%(sensors)s) ORDER BY l.sensor_id, r.observed_at

-- name: readings_around
-- What stands around late readings: everything within the span, and neighbours on both sides. The outer bounds let the
-- planner leave out chunks.
SELECT w.i, r.sensor_id, r.observed_at, r.value, r.received_at, r.flag, r.reasons
FROM unnest(%(sensors)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
    WITH ORDINALITY AS w(sensor_id, start, stop, i)
CROSS JOIN LATERAL (
    (SELECT * FROM reading WHERE sensor_id = w.sensor_id AND observed_at >= %(earliest)s
        AND observed_at < w.start AND observed_at >= w.start - interval '30 days' ORDER BY observed_at DESC LIMIT 26)
    UNION ALL
    (SELECT * FROM reading WHERE sensor_id = w.sensor_id AND observed_at >= %(earliest)s AND observed_at <= %(latest)s
        AND observed_at >= w.start AND observed_at <= w.stop)
    UNION ALL
    (SELECT * FROM reading WHERE sensor_id = w.sensor_id AND observed_at <= %(latest)s
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

-- name: see_process
-- Those of its service that have been gone for a day are forgotten.
WITH gone AS (DELETE FROM process WHERE service = %(service)s AND seen_at < clock_timestamp() - interval '1 day')
INSERT INTO process (name, service, seen_at, started_at)
VALUES (%(name)s, %(service)s, clock_timestamp(), clock_timestamp())
ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at

-- name: see_ways
-- Through which gateways sensors report now; what is known so already is not written again.
INSERT INTO sensor_gateway (sensor_id, gateway_id)
SELECT n.sensor_id, n.gateway_id FROM unnest(%(sensors)s::integer[], %(gateways)s::text[]) AS n(sensor_id, gateway_id)
LEFT JOIN sensor_gateway g USING (sensor_id) WHERE g.gateway_id IS DISTINCT FROM n.gateway_id ORDER BY n.sensor_id
ON CONFLICT (sensor_id) DO UPDATE SET gateway_id = excluded.gateway_id

-- name: see_gateways
-- One that holds rows has held them since it was first said so; one that was silent in between, since now.
INSERT INTO gateway (gateway_id, seen_at, backlog, held_since)
SELECT g, clock_timestamp(), w, CASE WHEN w > 0 THEN clock_timestamp() END
FROM unnest(%(gateways)s::text[], %(waiting)s::bigint[]) AS n(g, w)
ON CONFLICT (gateway_id) DO UPDATE SET seen_at = excluded.seen_at, backlog = excluded.backlog,
    held_since = CASE WHEN excluded.backlog > 0 AND gateway.seen_at > excluded.seen_at - %(silent)s::interval
        THEN coalesce(gateway.held_since, excluded.held_since) ELSE excluded.held_since END

-- name: see_commits
-- What these gateways hold goes on reaching us.
UPDATE gateway SET held_since = NULL
WHERE gateway_id IN (SELECT gateway_id FROM gateway WHERE gateway_id = ANY(%(gateways)s::text[]) AND held_since IS NOT NULL
    ORDER BY gateway_id FOR UPDATE)
