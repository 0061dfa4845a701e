-- name: latest_levels
-- Every water level sensor's newest reading.
SELECT l.sensor_id, l.observed_at, l.value, l.flag, l.reasons, l.trend_h, g.gateway_id, (SELECT version FROM registry_version)
FROM latest_reading l JOIN sensor s USING (sensor_id) LEFT JOIN sensor_gateway g USING (sensor_id)
WHERE s.quantity = 'water_level' AND (%(stations)s::text[] IS NULL OR s.station_id = ANY (%(stations)s::text[]))

-- name: recent_levels
-- Ten-minute means of every water level sensor, failed readings left out. Sensor by sensor: by time alone the whole
-- index of a chunk would be read.
SELECT s.sensor_id, r.bucket, r.mean
FROM sensor s CROSS JOIN LATERAL (
    SELECT time_bucket('10 minutes', observed_at) AS bucket, avg(value) AS mean FROM reading
    WHERE sensor_id = s.sensor_id AND observed_at >= %(start)s AND observed_at < %(end)s AND flag < 4
    GROUP BY 1
) r WHERE s.quantity = 'water_level'

-- name: recent_rise
-- Of each sensor the last reading of every third minute that has not failed, oldest first: enough for a line. Suspect
-- ones count: the fastest rises are suspect.
SELECT w.sensor_id, r.observed_at, r.value
FROM unnest(%(sensors)s::integer[]) AS w(sensor_id)
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (time_bucket('3 minutes', observed_at)) observed_at, value FROM reading
    WHERE sensor_id = w.sensor_id AND observed_at > %(start)s AND observed_at <= %(end)s AND flag < 4
    ORDER BY time_bucket('3 minutes', observed_at), observed_at DESC
) r ORDER BY w.sensor_id, r.observed_at

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
