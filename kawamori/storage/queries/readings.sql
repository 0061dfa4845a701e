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
    SELECT * FROM unnest(%(sensors)s::integer[], %(buckets)s::timestamptz[], %(starts)s::timestamptz[], %(stops)s::timestamptz[])
        AS w(sensor_id, bucket, start, stop)
), fresh AS (
    SELECT w.sensor_id, w.bucket, count(*)::integer AS n, sum(round(r.value * 1000000)::bigint)::bigint AS sum_micro,
        min(r.value) AS min, max(r.value) AS max
    FROM wanted w CROSS JOIN LATERAL (SELECT value FROM reading WHERE sensor_id = w.sensor_id
        AND observed_at >= w.start AND observed_at < w.stop AND flag NOT IN (4, 9)) r
    GROUP BY 1, 2
), gone AS (
    DELETE FROM reading_hour h USING wanted w WHERE h.sensor_id = w.sensor_id AND h.bucket = w.bucket
        AND NOT EXISTS (SELECT 1 FROM fresh f WHERE f.sensor_id = w.sensor_id AND f.bucket = w.bucket)
)
INSERT INTO reading_hour (sensor_id, bucket, n, sum_micro, min, max) SELECT * FROM fresh ORDER BY 1, 2
ON CONFLICT (sensor_id, bucket) DO UPDATE SET n = excluded.n, sum_micro = excluded.sum_micro, min = excluded.min, max = excluded.max

-- name: recompute_days
WITH wanted AS (
    SELECT * FROM unnest(%(sensors)s::integer[], %(buckets)s::timestamptz[], %(starts)s::timestamptz[], %(stops)s::timestamptz[])
        AS w(sensor_id, bucket, start, stop)
), fresh AS (
    SELECT w.sensor_id, w.bucket, count(*)::integer AS n, sum(round(r.value * 1000000)::bigint)::bigint AS sum_micro,
        min(r.value) AS min, max(r.value) AS max
    FROM wanted w CROSS JOIN LATERAL (SELECT value FROM reading WHERE sensor_id = w.sensor_id
        AND observed_at >= w.start AND observed_at < w.stop AND flag NOT IN (4, 9)) r
    GROUP BY 1, 2
), gone AS (
    DELETE FROM reading_day d USING wanted w WHERE d.sensor_id = w.sensor_id AND d.bucket = w.bucket
        AND NOT EXISTS (SELECT 1 FROM fresh f WHERE f.sensor_id = w.sensor_id AND f.bucket = w.bucket)
)
INSERT INTO reading_day (sensor_id, bucket, n, sum_micro, min, max) SELECT * FROM fresh ORDER BY 1, 2
ON CONFLICT (sensor_id, bucket) DO UPDATE SET n = excluded.n, sum_micro = excluded.sum_micro, min = excluded.min, max = excluded.max

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
-- Registered ones only. One that holds rows has held them since it was first said so; one that was silent in between,
-- since now.
WITH locked AS (
    SELECT gateway_id FROM gateway WHERE gateway_id = ANY(%(gateways)s::text[]) AND retired_at IS NULL
    ORDER BY gateway_id FOR UPDATE
)
UPDATE gateway SET seen_at = clock_timestamp(), backlog = n.w, held_since = CASE
    WHEN n.w = 0 THEN NULL
    WHEN gateway.seen_at > clock_timestamp() - %(silent)s::interval THEN coalesce(gateway.held_since, clock_timestamp())
    ELSE clock_timestamp() END
FROM unnest(%(gateways)s::text[], %(waiting)s::bigint[]) AS n(g, w) JOIN locked ON locked.gateway_id = n.g
WHERE gateway.gateway_id = n.g

-- name: see_set_aside
-- What is known so already is not written again. `see_gateways` has locked the rows in order.
UPDATE gateway SET set_aside = n.rows FROM unnest(%(gateways)s::text[], %(rows)s::bigint[]) AS n(g, rows)
WHERE gateway.gateway_id = n.g AND gateway.set_aside <> n.rows

-- name: see_clocks
-- To the second: what is known so already is not written again. `see_gateways` has locked the rows in order.
UPDATE gateway SET clock_off_s = round(n.off)
FROM unnest(%(gateways)s::text[], %(offs)s::float8[]) AS n(g, off)
WHERE gateway.gateway_id = n.g AND gateway.clock_off_s IS DISTINCT FROM round(n.off)

-- name: see_unknown_gateways
-- The hundred that were heard last: nobody fills the table with names.
WITH old AS (
    DELETE FROM unknown_gateway WHERE gateway_id IN (SELECT gateway_id FROM unknown_gateway ORDER BY seen_at DESC OFFSET 100)
)
INSERT INTO unknown_gateway (gateway_id, messages)
SELECT g, c FROM unnest(%(gateways)s::text[], %(counts)s::bigint[]) AS n(g, c) ORDER BY g
ON CONFLICT (gateway_id) DO UPDATE SET seen_at = clock_timestamp(), messages = unknown_gateway.messages + excluded.messages

-- name: make_latest
-- A row for each of these sensors, should it be missing; none for a sensor that does not exist.
INSERT INTO latest_reading (sensor_id) SELECT sensor_id FROM sensor WHERE sensor_id = ANY(%(sensors)s::integer[])
ORDER BY sensor_id ON CONFLICT DO NOTHING

-- name: see_commits
-- What these gateways hold goes on reaching us.
UPDATE gateway SET held_since = NULL
WHERE gateway_id IN (SELECT gateway_id FROM gateway WHERE gateway_id = ANY(%(gateways)s::text[]) AND held_since IS NOT NULL
    ORDER BY gateway_id FOR UPDATE)
