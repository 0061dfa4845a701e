-- name: announce
INSERT INTO announcement (alert_id, event, at) VALUES (%(alert)s, %(event)s, %(at)s)

-- name: announcements_to_tell
SELECT n.announcement_id, n.event, n.at, a.alert_id, a.kind, a.station_id, coalesce(s.river_id, substring(a.subject FROM '^river:(.+)')), a.sensor_id, a.subject, a.flood_level, a.threshold_m, a.state, a.started_at,
    a.ended_at, a.value_m, a.peak_m, a.verified, a.status, a.paged_at, a.detail, a.incident_id, a.acknowledged_at,
    a.confirmed_at, a.dismissed_at
FROM announcement n JOIN alert a USING (alert_id) LEFT JOIN station s USING (station_id)
WHERE n.told_at IS NULL ORDER BY n.announcement_id

-- name: announcements_to_log
SELECT n.announcement_id, n.event, n.at, a.alert_id, a.kind, a.station_id, coalesce(s.river_id, substring(a.subject FROM '^river:(.+)')), a.sensor_id, a.subject, a.flood_level, a.threshold_m, a.state, a.started_at,
    a.ended_at, a.value_m, a.peak_m, a.verified, a.status, a.paged_at, a.detail, a.incident_id, a.acknowledged_at,
    a.confirmed_at, a.dismissed_at
FROM announcement n JOIN alert a USING (alert_id) LEFT JOIN station s USING (station_id)
WHERE n.logged_at IS NULL ORDER BY n.announcement_id LIMIT 2000

-- name: mark_told
UPDATE announcement SET told_at = clock_timestamp(), dropped = %(dropped)s WHERE announcement_id = ANY(%(ids)s)

-- name: told_ended
-- Those of these alerts of which people were told that they are over, or were no water.
SELECT DISTINCT alert_id FROM announcement WHERE alert_id = ANY(%(alerts)s) AND event IN ('resolved', 'withdrawn')
    AND told_at IS NOT NULL AND dropped IS NULL

-- name: mark_logged
UPDATE announcement SET logged_at = clock_timestamp() WHERE announcement_id = ANY(%(ids)s)

-- name: mark_told_together
-- What would be told of these alerts one by one is told together.
UPDATE announcement SET told_at = clock_timestamp(), dropped = 'told together with others'
WHERE alert_id = ANY(%(alerts)s) AND told_at IS NULL
