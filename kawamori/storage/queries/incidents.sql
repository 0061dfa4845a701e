-- name: begin_incident
INSERT INTO incident (topic, river_id, status, opened_at) VALUES (%(topic)s, %(river)s, %(status)s, %(at)s)
ON CONFLICT (topic, coalesce(river_id, ''), status) WHERE closed_at IS NULL DO NOTHING

-- name: open_incident
SELECT incident_id, topic, river_id, status, escalation_id, step, round, escalate_at FROM incident
WHERE topic = %(topic)s AND coalesce(river_id, '') = coalesce(%(river)s, '') AND status = %(status)s AND closed_at IS NULL

-- name: join_incident
UPDATE alert SET incident_id = %(incident)s WHERE alert_id = ANY(%(alerts)s)

-- name: incidents_by_id_to_tell
SELECT incident_id, topic, river_id, status, escalation_id, step, round, escalate_at FROM incident
WHERE incident_id = ANY(%(ids)s)

-- name: incidents_to_escalate
SELECT incident_id, topic, river_id, status, escalation_id, step, round, escalate_at FROM incident
WHERE escalate_at <= %(now)s AND closed_at IS NULL ORDER BY incident_id

-- name: set_incident_position
UPDATE incident SET escalation_id = %(escalation)s, step = %(step)s, round = %(round)s, escalate_at = %(at)s
WHERE incident_id = %(incident)s

-- name: unanswered
SELECT a.alert_id, a.kind, a.station_id, coalesce(s.river_id, substring(a.subject FROM '^river:(.+)')), a.sensor_id, a.subject, a.flood_level, a.threshold_m, a.state, a.started_at,
    a.ended_at, a.value_m, a.peak_m, a.verified, a.status, a.paged_at, a.detail, a.incident_id, a.acknowledged_at,
    a.confirmed_at, a.dismissed_at
FROM alert a LEFT JOIN station s USING (station_id)
WHERE a.incident_id = %(incident)s AND a.state = 'firing' AND a.acknowledged_at IS NULL
ORDER BY a.flood_level DESC, a.started_at, a.alert_id

-- name: told_persons
SELECT incident_id, array_agg(DISTINCT contact_id) FROM notification
WHERE incident_id = ANY(%(incidents)s) AND contact_id IS NOT NULL GROUP BY incident_id

-- name: sent_since
SELECT n.incident_id, i.topic, n.contact_id, count(*)::integer, max(n.created_at), max(n.created_at) FILTER (WHERE n.event = 'digest')
FROM notification n JOIN incident i USING (incident_id)
WHERE n.created_at > %(since)s AND n.contact_id IS NOT NULL AND n.instead_of IS NULL AND n.superseded IS NULL
GROUP BY n.incident_id, i.topic, n.contact_id

-- name: close_incidents
-- A flood wave is over when all its alerts have been for six hours; other incidents after ten minutes.
UPDATE incident i SET closed_at = %(now)s, escalate_at = NULL WHERE closed_at IS NULL
    AND NOT EXISTS (SELECT FROM alert a WHERE a.incident_id = i.incident_id AND (a.state IN ('pending', 'firing')
        OR greatest(a.ended_at, a.recorded_at) > %(now)s::timestamptz - CASE i.topic WHEN 'flood' THEN interval '6 hours' ELSE interval '10 minutes' END))
    AND NOT EXISTS (SELECT FROM alert a JOIN announcement n USING (alert_id) WHERE a.incident_id = i.incident_id AND n.told_at IS NULL)
    AND opened_at < %(now)s::timestamptz - interval '1 minute'
