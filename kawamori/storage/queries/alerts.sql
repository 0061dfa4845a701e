-- name: recorded_since
-- Of each sensor the alerts that last beyond a moment of its own, or begin after it; locked, so that what a person is
-- just answering is known before it is judged.
SELECT a.alert_id, a.kind, a.station_id, coalesce(s.river_id, substring(a.subject FROM '^river:(.+)')), a.sensor_id, a.subject, a.flood_level, a.threshold_m, a.state, a.started_at,
    a.ended_at, a.value_m, a.peak_m, a.verified, a.status, a.paged_at, a.detail, a.incident_id, a.acknowledged_at,
    a.confirmed_at, a.dismissed_at
FROM unnest(%(sensors)s::integer[], %(since)s::timestamptz[]) AS w(sensor_id, since)
JOIN alert a ON a.sensor_id = w.sensor_id AND a.kind = ANY(%(kinds)s) AND a.retracted_at IS NULL
    AND (a.ended_at IS NULL OR a.ended_at >= w.since)
LEFT JOIN station s USING (station_id)
ORDER BY a.sensor_id, a.started_at, a.flood_level FOR NO KEY UPDATE OF a

-- name: open_alerts
SELECT a.alert_id, a.kind, a.station_id, coalesce(s.river_id, substring(a.subject FROM '^river:(.+)')), a.sensor_id, a.subject, a.flood_level, a.threshold_m, a.state, a.started_at,
    a.ended_at, a.value_m, a.peak_m, a.verified, a.status, a.paged_at, a.detail, a.incident_id, a.acknowledged_at,
    a.confirmed_at, a.dismissed_at
FROM alert a LEFT JOIN station s USING (station_id)
WHERE a.state IN ('pending', 'firing') AND a.kind = ANY(%(kinds)s) AND a.retracted_at IS NULL ORDER BY a.alert_id

-- name: alerts_now
-- Of each id asked for its alert; of one that was retracted because another took it in (same sensor, kind and level, at
-- the same time), that other.
SELECT w.id, a.alert_id, a.kind, a.station_id, coalesce(s.river_id, substring(a.subject FROM '^river:(.+)')), a.sensor_id, a.subject, a.flood_level, a.threshold_m, a.state, a.started_at,
    a.ended_at, a.value_m, a.peak_m, a.verified, a.status, a.paged_at, a.detail, a.incident_id, a.acknowledged_at,
    a.confirmed_at, a.dismissed_at
FROM unnest(%(ids)s::bigint[]) AS w(id) JOIN alert own ON own.alert_id = w.id
JOIN alert a ON a.alert_id = coalesce((SELECT b.alert_id FROM alert b WHERE own.retracted_at IS NOT NULL AND own.sensor_id IS NOT NULL
    AND (b.sensor_id, b.kind, b.flood_level) = (own.sensor_id, own.kind, own.flood_level) AND b.retracted_at IS NULL
    AND b.started_at <= coalesce(own.ended_at, 'infinity') AND coalesce(b.ended_at, 'infinity') >= own.started_at
    ORDER BY b.started_at DESC LIMIT 1), own.alert_id)
LEFT JOIN station s ON s.station_id = a.station_id

-- name: unpaged_alerts
SELECT l.observed_at, l.received_at, a.alert_id, a.kind, a.station_id, coalesce(s.river_id, substring(a.subject FROM '^river:(.+)')), a.sensor_id, a.subject, a.flood_level, a.threshold_m, a.state, a.started_at,
    a.ended_at, a.value_m, a.peak_m, a.verified, a.status, a.paged_at, a.detail, a.incident_id, a.acknowledged_at,
    a.confirmed_at, a.dismissed_at
FROM alert a JOIN latest_reading l USING (sensor_id) LEFT JOIN station s USING (station_id)
WHERE a.state = 'firing' AND a.paged_at IS NULL AND a.dismissed_at IS NULL AND a.retracted_at IS NULL
    AND a.kind IN ('level', 'rise') AND l.received_at > %(since)s AND l.received_at <= %(now)s
ORDER BY a.alert_id FOR NO KEY UPDATE OF a

-- name: mark_paged_late
UPDATE alert SET paged_at = %(at)s, retroactive = false, verified = %(verified)s, detail = detail || %(detail)s::jsonb
WHERE alert_id = %(alert)s

-- name: insert_alert
INSERT INTO alert (station_id, sensor_id, subject, kind, rule_id, flood_level, threshold_m, state, started_at, ended_at,
    value_m, peak_m, verified, retroactive, status, paged_at, detail)
VALUES (%(station)s, %(sensor)s, %(subject)s, %(kind)s, %(rule)s, %(level)s, %(threshold)s, %(state)s, %(started_at)s,
    %(ended_at)s, %(value)s, %(peak)s, %(verified)s, %(retroactive)s, %(status)s, %(paged_at)s, %(detail)s)
RETURNING alert_id

-- name: update_alert
UPDATE alert SET threshold_m = %(threshold)s, state = %(state)s, started_at = %(started_at)s, ended_at = %(ended_at)s,
    value_m = %(value)s, peak_m = %(peak)s, verified = %(verified)s, retroactive = %(retroactive)s,
    paged_at = %(paged_at)s, detail = %(detail)s
WHERE alert_id = %(alert)s

-- name: renew_alerts
-- Raised again after people were told that it is over or never was: what they answered then is no answer now (the audit
-- keeps it), and an incident that is closed is not theirs any more.
UPDATE alert a SET acknowledged_at = NULL, acknowledged_by = NULL, dismissed_at = NULL, dismissed_by = NULL,
    incident_id = (SELECT i.incident_id FROM incident i WHERE i.incident_id = a.incident_id AND i.closed_at IS NULL)
WHERE a.alert_id = ANY(%(alerts)s)

-- name: end_alert
UPDATE alert SET state = 'resolved', ended_at = %(at)s WHERE alert_id = %(alert)s

-- name: set_part
UPDATE alert SET detail = CASE WHEN %(whole)s::bigint IS NULL THEN detail - 'part_of'
    ELSE detail || jsonb_build_object('part_of', %(whole)s::bigint) END WHERE alert_id = %(alert)s

-- name: retract_alert
UPDATE alert SET state = 'withdrawn', retracted_at = clock_timestamp() WHERE alert_id = %(alert)s

-- name: forget_alert
DELETE FROM alert WHERE alert_id = %(alert)s

-- name: self_test_age
-- How long ago the last self-test ended, by the clock that dated it; NULL where there was none.
SELECT clock_timestamp() - (SELECT at FROM audit WHERE subject = 'alerting' AND event IN ('self_test_passed', 'self_test_failed')
    ORDER BY audit_id DESC LIMIT 1)

-- name: self_test_came_out
-- The synthetic crossing of that moment and height has left the outbox.
SELECT n.delivered_at FROM alert a JOIN notification n USING (alert_id)
WHERE a.kind = 'self_test' AND a.started_at >= %(since)s AND abs(a.value_m - %(value)s::float8) < 1e-6
    AND n.event = 'raised' AND n.delivered_at IS NOT NULL LIMIT 1

-- name: known_levels
SELECT station_id, max(flood_level)::integer FROM alert
WHERE state = 'firing' AND kind = 'level' AND retracted_at IS NULL AND station_id IS NOT NULL GROUP BY station_id
