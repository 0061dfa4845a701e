-- name: stations_and_rivers
SELECT station_id, river_id FROM station WHERE NOT internal ORDER BY station_id

-- name: heights_lately
-- Of each level of each station the threshold in force (NULL: none), the lowest in force since a moment, that of the level
-- above, and who set it through the API. What is NULL of hold and readings is the level
-- rule's: the station's, else its river's, else the site's.
WITH lately AS (
    SELECT t.station_id, t.level, min(t.value_m) AS lowest FROM threshold t
    WHERE t.valid_from <= %(now)s AND (t.valid_to IS NULL OR t.valid_to > %(since)s) GROUP BY t.station_id, t.level
)
SELECT s.station_id, s.name_ja, s.name_en, l.level, t.value_m,
    coalesce(t.valid_from, (SELECT max(g.valid_to) FROM threshold g WHERE (g.station_id, g.level) = (l.station_id, l.level) AND g.valid_to <= %(now)s)),
    l.lowest, lead(l.lowest) OVER (PARTITION BY l.station_id ORDER BY l.level),
    (SELECT max(m.value_m) FROM (SELECT DISTINCT ON (kind) value_m FROM mark WHERE mark.station_id = s.station_id
        AND kind IN ('crest_left', 'crest_right') AND valid_from <= %(now)s ORDER BY kind, valid_from DESC) m),
    l.level = max(l.level) OVER (PARTITION BY l.station_id),
    t.hold, t.consecutive, r.parameters,
    (SELECT a.who FROM audit a WHERE a.subject = 'rule' AND a.detail -> 'after' ->> 'station_id' = s.station_id
        AND a.at BETWEEN %(since)s AND %(now)s ORDER BY a.audit_id DESC LIMIT 1)
FROM lately l JOIN station s USING (station_id)
LEFT JOIN threshold t ON (t.station_id, t.level) = (l.station_id, l.level)
    AND t.valid_from <= %(now)s AND (t.valid_to IS NULL OR t.valid_to > %(now)s)
LEFT JOIN LATERAL (SELECT parameters FROM alert_rule WHERE kind = 'level' AND valid_to IS NULL
    AND coalesce(station_id, s.station_id) = s.station_id AND coalesce(river_id, s.river_id) = s.river_id
    ORDER BY station_id IS NULL, river_id IS NULL LIMIT 1) r ON true
WHERE NOT s.internal ORDER BY s.station_id, l.level

-- name: drill_rules
-- Rules by which real crossings count as a drill.
SELECT rule_id, coalesce(station_id, river_id), status, valid_from, author FROM alert_rule
WHERE kind = 'level' AND status <> 'actual' AND valid_to IS NULL ORDER BY rule_id

-- name: service_starts
-- Of each service the starts of the last five minutes and the processes that are there; the time by the same clock.
SELECT s.service, count(*)::integer, min(s.started_at), max(s.started_at),
    (SELECT count(*) FROM process p WHERE p.service = s.service AND p.seen_at > clock_timestamp() - interval '15 seconds')::integer
FROM service_start s WHERE s.started_at > clock_timestamp() - interval '5 minutes' GROUP BY s.service ORDER BY s.service

-- name: ingest_seen
SELECT max(seen_at), clock_timestamp() FROM process WHERE service = 'ingest'

-- name: gateways_with_rows_set_aside
-- The rows that each gateway could not deliver, and since when people know.
SELECT g.gateway_id, g.set_aside, coalesce(n.since, clock_timestamp())
FROM gateway g LEFT JOIN notice n ON n.key = 'set-aside:' || g.gateway_id AND n.ended_at IS NULL
WHERE g.set_aside > 0 AND g.retired_at IS NULL ORDER BY g.gateway_id

-- name: notices_told
-- Those that people were told of and that stood when we last looked.
SELECT key, kind, text_ja, text_en, since FROM notice WHERE ended_at IS NULL

-- name: begin_notice
INSERT INTO notice (key, kind, since, until, who, text_ja, text_en)
VALUES (%(key)s, %(kind)s, %(since)s, %(until)s, %(by)s, %(text_ja)s, %(text_en)s)
ON CONFLICT (key) WHERE ended_at IS NULL DO NOTHING RETURNING notice_id

-- name: end_notice
UPDATE notice SET ended_at = clock_timestamp() WHERE key = %(key)s AND ended_at IS NULL RETURNING notice_id
