-- name: incidents_page
-- Incidents, the newest first, with what belongs to them.
SELECT i.incident_id, i.topic, i.river_id, i.status, i.opened_at, i.closed_at, i.escalation_id, i.step, i.round, i.escalate_at,
    ARRAY(SELECT a.alert_id FROM alert a WHERE a.incident_id = i.incident_id AND (a.retracted_at IS NULL OR a.paged_at IS NOT NULL)
        ORDER BY a.started_at, a.alert_id)
FROM incident i
WHERE i.incident_id < %(before_id)s AND i.topic <> 'self_test' AND (%(open)s::boolean IS NULL OR (i.closed_at IS NULL) = %(open)s)
ORDER BY i.incident_id DESC LIMIT %(limit)s
