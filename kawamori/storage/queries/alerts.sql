-- name: rows_to_evaluate
-- Readings of several sensors, each in its own span (start excluded), in order of measurement; the outer bounds let the
-- planner leave out chunks.
SELECT w.sensor_id, r.observed_at, r.value, r.flag
FROM unnest(%(sensors)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS w(sensor_id, start, stop)
CROSS JOIN LATERAL (SELECT observed_at, value, flag FROM reading WHERE sensor_id = w.sensor_id
    AND observed_at > w.start AND observed_at <= w.stop AND observed_at > %(earliest)s AND observed_at <= %(latest)s
    AND flag NOT IN (4, 9)) r
ORDER BY w.sensor_id, r.observed_at

-- name: calm_before
-- The last reading before a moment that is below all thresholds: nothing is pending there.
SELECT max(observed_at) FROM reading
WHERE sensor_id = %(sensor)s AND observed_at < %(before)s AND value < %(below)s AND flag NOT IN (4, 9)

-- name: episodes_since
-- Of each sensor the episodes that last beyond a moment of its own, or begin after it.
SELECT a.sensor_id, alert_id, flood_level, threshold_m, started_at, ended_at, value_m, peak_m, verified, retroactive, paged_at
FROM unnest(%(sensors)s::integer[], %(since)s::timestamptz[]) AS w(sensor_id, since)
JOIN alert a ON a.sensor_id = w.sensor_id AND a.kind = 'level' AND a.state <> 'withdrawn'
    AND (a.ended_at IS NULL OR a.ended_at >= w.since)
ORDER BY a.sensor_id, started_at, flood_level

-- name: insert_alert
INSERT INTO alert (station_id, sensor_id, flood_level, threshold_m, state, started_at, ended_at, value_m, peak_m, verified, retroactive, status, paged_at)
VALUES (%(station)s, %(sensor)s, %(level)s, %(threshold)s, %(state)s, %(started_at)s, %(ended_at)s, %(value)s, %(peak)s, %(verified)s, %(retroactive)s, %(status)s, %(paged_at)s)
RETURNING alert_id

-- name: update_alert
UPDATE alert SET threshold_m = %(threshold)s, state = %(state)s, started_at = %(started_at)s, ended_at = %(ended_at)s,
    value_m = %(value)s, peak_m = %(peak)s, verified = %(verified)s, retroactive = %(retroactive)s, paged_at = %(paged_at)s
WHERE alert_id = %(alert)s

-- name: withdraw_alert
UPDATE alert SET state = 'withdrawn' WHERE alert_id = %(alert)s

-- name: forget_changes
DELETE FROM alert_change WHERE alert_id = %(alert)s

-- name: forget_alert
DELETE FROM alert WHERE alert_id = %(alert)s

-- name: note_change
INSERT INTO alert_change (alert_id, event) VALUES (%(alert)s, %(event)s)

-- name: put_notification
INSERT INTO notification (alert_id, channel, recipient, event, idempotency_key, subject, body)
VALUES (%(alert)s, %(channel)s, %(recipient)s, %(event)s, %(key)s, %(subject)s, %(body)s)
ON CONFLICT (idempotency_key) DO NOTHING

-- name: trends
SELECT sensor_id, trend_h, observed_at FROM latest_reading WHERE sensor_id = ANY(%(sensors)s)

-- name: claim_notifications
SELECT notification_id, alert_id, channel, recipient, event, idempotency_key, subject, body, created_at, attempts
FROM notification WHERE delivered_at IS NULL AND channel = %(channel)s AND next_attempt_at <= now()
    AND created_at > now() - interval '24 hours'
ORDER BY notification_id LIMIT 20 FOR UPDATE SKIP LOCKED

-- name: delivered
UPDATE notification SET delivered_at = clock_timestamp(), attempts = attempts + 1, last_error = NULL
WHERE notification_id = %(id)s

-- name: not_delivered
UPDATE notification SET attempts = attempts + 1, last_error = %(error)s,
    next_attempt_at = clock_timestamp() + make_interval(secs => %(wait)s)
WHERE notification_id = %(id)s
