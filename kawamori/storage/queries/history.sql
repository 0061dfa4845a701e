-- name: latest_levels
-- Every water level sensor's newest reading.
SELECT l.sensor_id, l.observed_at, l.value, l.flag, l.reasons, l.trend_h, (SELECT version FROM registry_version)
FROM latest_reading l JOIN sensor s USING (sensor_id) WHERE s.quantity = 'water_level'

-- name: trusted_before
-- The newest reading that has not failed, of sensors whose newest has.
SELECT w.sensor_id, r.observed_at, r.value
FROM unnest(%(sensors)s::integer[], %(before)s::timestamptz[]) AS w(sensor_id, before)
CROSS JOIN LATERAL (
    SELECT observed_at, value FROM reading WHERE sensor_id = w.sensor_id AND flag < 4
        AND observed_at < w.before AND observed_at >= w.before - interval '30 days'
        AND observed_at >= %(earliest)s AND observed_at <= %(latest)s
    ORDER BY observed_at DESC LIMIT 1
) r

-- name: raw_readings
SELECT observed_at, value, flag FROM reading
WHERE sensor_id = %(sensor)s AND observed_at >= %(start)s AND observed_at < %(end)s
ORDER BY observed_at LIMIT %(limit)s

-- name: ten_minute_readings
-- Failed readings are left out, as in the stored summaries.
SELECT time_bucket('10 minutes', observed_at) AS bucket, min(value), avg(value), max(value), count(*) FROM reading
WHERE sensor_id = %(sensor)s AND observed_at >= %(start)s AND observed_at < %(end)s AND flag < 4
GROUP BY bucket ORDER BY bucket LIMIT %(limit)s

-- name: hourly_readings
SELECT bucket, min, sum_micro / 1e6 / n, max, n FROM reading_hour
WHERE sensor_id = %(sensor)s AND bucket >= %(start)s AND bucket < %(end)s
ORDER BY bucket LIMIT %(limit)s

-- name: daily_readings
SELECT bucket, min, sum_micro / 1e6 / n, max, n FROM reading_day
WHERE sensor_id = %(sensor)s AND bucket >= %(start)s AND bucket < %(end)s
ORDER BY bucket LIMIT %(limit)s

-- name: weekly_readings
-- Weeks begin on the station's Monday.
SELECT time_bucket('1 week', bucket, %(time_zone)s) AS week, min(min), sum(sum_micro) / 1e6 / sum(n), max(max), sum(n)::bigint
FROM reading_day
WHERE sensor_id = %(sensor)s AND bucket >= %(start)s AND bucket < %(end)s
GROUP BY week ORDER BY week LIMIT %(limit)s

-- name: count_raw_readings
-- How many, but no further than the limit.
SELECT count(*) FROM (
    SELECT FROM reading
    WHERE sensor_id = %(sensor)s AND observed_at >= %(start)s AND observed_at < %(end)s LIMIT %(limit)s
) found

-- name: count_hourly_readings
SELECT count(*) FROM (
    SELECT FROM reading_hour
    WHERE sensor_id = %(sensor)s AND bucket >= %(start)s AND bucket < %(end)s LIMIT %(limit)s
) found

-- name: alerts_page
-- Episodes that touch the span, newest start first.
SELECT alert_id, station_id, kind, flood_level, state, started_at, ended_at, retroactive, verified, status,
    value_m, threshold_m, peak_m, recorded_at, paged_at
FROM alert
WHERE started_at < %(end)s AND (ended_at IS NULL OR ended_at >= %(start)s)
    AND (started_at, alert_id) < (%(before)s, %(before_id)s)
    AND (%(state)s::text IS NULL OR state = %(state)s)
    AND (%(station)s::text IS NULL OR station_id = %(station)s)
ORDER BY started_at DESC, alert_id DESC LIMIT %(limit)s

-- name: alerts_by_id
SELECT alert_id, station_id, kind, flood_level, state, started_at, ended_at, retroactive, verified, status,
    value_m, threshold_m, peak_m, recorded_at, paged_at
FROM alert WHERE alert_id = ANY(%(ids)s) ORDER BY alert_id

-- name: notifications_page
SELECT notification_id, alert_id, channel, recipient, event, subject, body, created_at, attempts, delivered_at, last_error
FROM notification
WHERE notification_id < %(before_id)s AND (%(alert)s::bigint IS NULL OR alert_id = %(alert)s)
ORDER BY notification_id DESC LIMIT %(limit)s

-- name: quarantine_page
SELECT quarantine_id, received_at, topic, device_id, reason, payload FROM quarantine
WHERE quarantine_id < %(before_id)s AND (%(device)s::text IS NULL OR device_id = %(device)s)
ORDER BY quarantine_id DESC LIMIT %(limit)s

-- name: newest_in_spans
-- Of each touched span the newest readings; the outer bounds let the planner leave out chunks.
SELECT t.span, r.observed_at, r.value, r.flag, r.received_at
FROM unnest(%(sensors)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
    WITH ORDINALITY AS t(sensor_id, start, stop, span)
CROSS JOIN LATERAL (
    SELECT observed_at, value, flag, received_at FROM reading
    WHERE sensor_id = t.sensor_id AND observed_at >= t.start AND observed_at <= t.stop
        AND observed_at >= %(earliest)s AND observed_at <= %(latest)s
    ORDER BY observed_at DESC LIMIT %(each)s
) r
ORDER BY t.span, r.observed_at

-- name: batch_known
SELECT EXISTS (SELECT FROM ingest_batch WHERE xid = %(xid)s::xid8 AND batch_id = %(batch_id)s)

-- name: alert_changes_after
SELECT change_id, alert_id FROM alert_change WHERE change_id > %(after)s ORDER BY change_id LIMIT %(limit)s

-- name: newest_alert_change
SELECT coalesce(max(change_id), 0) FROM alert_change
