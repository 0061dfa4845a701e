-- name: sensor_facts
-- What is known now of every sensor, and what the device that measures for it says of itself.
SELECT l.sensor_id, l.observed_at, l.received_at, l.value, l.flag, l.trend_h, l.flat_since, d.device_id, d.status,
    g.clock_off_s, l.beyond_since
FROM latest_reading l LEFT JOIN LATERAL (
    SELECT p.device_id, s.status FROM deployment p LEFT JOIN device_status s USING (device_id)
    WHERE p.sensor_id = l.sensor_id AND p.valid_from <= now() AND (p.valid_to IS NULL OR p.valid_to > now())
    ORDER BY p.valid_from DESC LIMIT 1
) d ON true
LEFT JOIN sensor_gateway w ON w.sensor_id = l.sensor_id LEFT JOIN gateway g ON g.gateway_id = w.gateway_id

-- name: ingest_is_there
-- One that started within the minute may be in a crash loop: it hears a gateway by chance.
SELECT NOT EXISTS (SELECT FROM process WHERE service = 'ingest') OR EXISTS (SELECT FROM process
    WHERE service = 'ingest' AND seen_at > clock_timestamp() - interval '15 seconds'
    AND (started_at IS NULL OR started_at < clock_timestamp() - interval '60 seconds'))

-- name: gateway_facts
-- Of those that are in service and have been heard.
SELECT gateway_id, seen_at, backlog, clock_off_s FROM gateway
WHERE retired_at IS NULL AND seen_at IS NOT NULL ORDER BY gateway_id

-- name: recent_arrivals
-- The last readings of these sensors: measured, and heard of.
SELECT l.sensor_id, r.observed_at, r.received_at FROM latest_reading l CROSS JOIN LATERAL (
    SELECT observed_at, received_at FROM reading WHERE sensor_id = l.sensor_id AND observed_at <= l.observed_at
        AND observed_at > l.observed_at - interval '30 days' ORDER BY observed_at DESC LIMIT %(last)s
) r
WHERE l.sensor_id = ANY(%(sensors)s) ORDER BY l.sensor_id, r.observed_at

-- name: jumping
-- Sensors whose readings jumped (reasons 4, 16 and 256: rate, spike, step).
SELECT sensor_id FROM reading
WHERE observed_at > %(since)s AND observed_at <= %(now)s AND reasons & 276 <> 0
GROUP BY sensor_id HAVING count(*) >= %(least)s ORDER BY sensor_id

-- name: values_since
SELECT sensor_id, observed_at, value FROM reading
WHERE sensor_id = ANY(%(sensors)s) AND observed_at > %(since)s AND observed_at <= %(now)s AND flag <> 9
ORDER BY sensor_id, observed_at LIMIT 20000

-- name: recent_doubts
-- Of each sensor the readings of the last day that left the water and came back (reason 16), about which devices disagree
-- (64), and that look like a counter's totals (512).
SELECT sensor_id, count(*) FILTER (WHERE reasons & 16 <> 0)::integer, count(*) FILTER (WHERE reasons & 64 <> 0)::integer,
    count(*) FILTER (WHERE reasons & 512 <> 0)::integer
FROM reading WHERE observed_at > %(since)s AND observed_at <= %(now)s AND reasons & 592 <> 0 GROUP BY sensor_id

-- name: refused_clocks
-- Of each device the newest message that was refused because of its time (ahead of its arrival, or of a clock that was
-- reset), and when it came by our own clock.
SELECT DISTINCT ON (device_id) device_id, coalesce(arrived_at, received_at), reason FROM quarantine
WHERE arrived_at > %(since)s AND device_id IS NOT NULL
    AND (reason LIKE 'time: more than %% ahead of its arrival' OR reason LIKE 'time:%%clock%%')
ORDER BY device_id, arrived_at DESC
