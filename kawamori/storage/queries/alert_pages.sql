-- name: alerts_page
-- Episodes that touch the span, newest start first; not those that nobody was ever told of and the readings no longer
-- show, nor the self-test's. `shelved` are those that a silence covers now (kawamori.domain.silence decides).
SELECT a.alert_id, a.station_id, coalesce(s.river_id, substring(a.subject FROM '^river:(.+)$')), a.kind, a.subject, a.flood_level, a.state, a.started_at, a.ended_at, a.retroactive,
    a.verified, a.status, a.value_m, a.threshold_m, a.peak_m, a.recorded_at, a.paged_at, a.acknowledged_at, a.acknowledged_by,
    a.confirmed_at, a.confirmed_by, a.dismissed_at, a.dismissed_by, q.shelved_until, a.incident_id, a.detail,
    (SELECT count(*) FROM audit u WHERE u.alert_id = a.alert_id AND u.note IS NOT NULL) AS notes
FROM alert a LEFT JOIN station s USING (station_id)
LEFT JOIN unnest(%(shelved)s::bigint[], %(untils)s::timestamptz[]) AS q(shelved_id, shelved_until) ON q.shelved_id = a.alert_id
WHERE a.started_at < %(end)s AND (a.ended_at IS NULL OR a.ended_at >= %(start)s)
    AND (a.started_at, a.alert_id) < (%(before)s, %(before_id)s)
    AND (a.retracted_at IS NULL OR a.paged_at IS NOT NULL) AND s.internal IS NOT TRUE
    AND (%(state)s::text IS NULL OR %(state)s = CASE WHEN a.state <> 'firing' THEN a.state WHEN q.shelved_until IS NOT NULL THEN 'shelved'
        WHEN a.acknowledged_at IS NOT NULL THEN 'acknowledged' ELSE 'firing' END)
    AND (%(station)s::text IS NULL OR a.station_id = %(station)s)
    AND (%(river)s::text IS NULL OR s.river_id = %(river)s OR a.subject = 'river:' || %(river)s)
    AND (%(kind)s::text IS NULL OR a.kind = %(kind)s) AND (%(status)s::text IS NULL OR a.status = %(status)s)
    AND a.flood_level >= %(min_level)s
ORDER BY a.started_at DESC, a.alert_id DESC LIMIT %(limit)s

-- name: alerts_by_id
SELECT a.alert_id, a.station_id, coalesce(s.river_id, substring(a.subject FROM '^river:(.+)$')), a.kind, a.subject, a.flood_level, a.state, a.started_at, a.ended_at, a.retroactive,
    a.verified, a.status, a.value_m, a.threshold_m, a.peak_m, a.recorded_at, a.paged_at, a.acknowledged_at, a.acknowledged_by,
    a.confirmed_at, a.confirmed_by, a.dismissed_at, a.dismissed_by, q.shelved_until, a.incident_id, a.detail,
    (SELECT count(*) FROM audit u WHERE u.alert_id = a.alert_id AND u.note IS NOT NULL) AS notes
FROM alert a LEFT JOIN station s USING (station_id)
LEFT JOIN unnest(%(shelved)s::bigint[], %(untils)s::timestamptz[]) AS q(shelved_id, shelved_until) ON q.shelved_id = a.alert_id
WHERE a.alert_id = ANY(%(ids)s) AND (a.retracted_at IS NULL OR a.paged_at IS NOT NULL) AND s.internal IS NOT TRUE
ORDER BY a.alert_id
