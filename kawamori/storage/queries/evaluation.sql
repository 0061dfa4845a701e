-- name: rows_to_evaluate
-- Readings of several sensors, each in its own span (start excluded), in order of measurement; the outer bounds let the
-- planner leave out chunks.
SELECT w.sensor_id, r.observed_at, r.value, r.flag, r.reasons
FROM unnest(%(sensors)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS w(sensor_id, start, stop)
CROSS JOIN LATERAL (SELECT observed_at, value, flag, reasons FROM reading WHERE sensor_id = w.sensor_id
    AND observed_at > w.start AND observed_at <= w.stop AND observed_at > %(earliest)s AND observed_at <= %(latest)s
    AND flag NOT IN (4, 9)) r
ORDER BY w.sensor_id, r.observed_at

-- name: page_to_evaluate
SELECT observed_at, value, flag, reasons FROM reading
WHERE sensor_id = %(sensor)s AND observed_at > %(after)s AND observed_at <= %(until)s AND flag NOT IN (4, 9)
ORDER BY observed_at LIMIT %(limit)s

-- name: put_off
INSERT INTO late_evaluation (sensor_id, since, until) VALUES (%(sensor)s, %(since)s, %(until)s)
ON CONFLICT (sensor_id) DO UPDATE SET since = least(late_evaluation.since, excluded.since),
    until = greatest(late_evaluation.until, excluded.until)

-- name: next_late
SELECT sensor_id, since, until FROM late_evaluation ORDER BY put_off_at, sensor_id LIMIT 1

-- name: late_done
DELETE FROM late_evaluation WHERE sensor_id = %(sensor)s

-- name: calm_before
-- The last reading before a moment that is below all thresholds, not in doubt, and three hours after the last one that
-- was not: nothing is pending there, and no doubtful reading waits for another (kawamori/domain/rules/stay.py).
SELECT r.observed_at FROM reading r
WHERE r.sensor_id = %(sensor)s AND r.observed_at < %(before)s AND r.value < %(below)s AND r.flag NOT IN (3, 4, 9)
    AND NOT EXISTS (SELECT FROM reading h WHERE h.sensor_id = r.sensor_id AND h.observed_at < r.observed_at
        AND h.observed_at > r.observed_at - interval '3 hours' AND h.value >= %(below)s AND h.flag NOT IN (4, 9))
ORDER BY r.observed_at DESC LIMIT 1

-- name: trends
SELECT sensor_id, trend_h, observed_at FROM latest_reading WHERE sensor_id = ANY(%(sensors)s)

-- name: values_now
SELECT sensor_id, value, observed_at FROM latest_reading WHERE sensor_id = ANY(%(sensors)s) AND value IS NOT NULL AND flag < 4
