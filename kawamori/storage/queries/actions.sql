-- name: lock_alert
-- Nobody else changes it until this transaction ends.
SELECT a.alert_id, a.kind, a.state, a.verified, a.incident_id, a.paged_at, a.acknowledged_at, a.confirmed_at, a.retracted_at
FROM alert a LEFT JOIN station s USING (station_id)
WHERE a.alert_id = %(alert)s AND (a.retracted_at IS NULL OR a.paged_at IS NOT NULL) AND s.internal IS NOT TRUE
FOR NO KEY UPDATE OF a

-- name: hold_incident
SELECT incident_id, topic FROM incident WHERE incident_id = %(incident)s

-- name: alerts_to_acknowledge
SELECT alert_id FROM alert
WHERE incident_id = %(incident)s AND alert_id <= %(up_to)s AND acknowledged_at IS NULL AND retracted_at IS NULL
ORDER BY alert_id FOR NO KEY UPDATE

-- name: acknowledge_alerts
UPDATE alert SET acknowledged_at = clock_timestamp(), acknowledged_by = %(who)s
WHERE alert_id = ANY(%(alerts)s) AND acknowledged_at IS NULL

-- name: confirm_alert
UPDATE alert SET confirmed_at = clock_timestamp(), confirmed_by = %(who)s, verified = true WHERE alert_id = %(alert)s

-- name: dismiss_alert
-- A person's own has no readings that could end it.
UPDATE alert SET dismissed_at = clock_timestamp(), dismissed_by = %(who)s, state = 'withdrawn',
    ended_at = CASE WHEN kind = 'manual' THEN clock_timestamp() ELSE ended_at END
WHERE alert_id = %(alert)s

-- name: raise_by_hand
INSERT INTO alert (station_id, subject, kind, flood_level, state, started_at, verified, retroactive, status, paged_at, detail)
VALUES (%(station)s, %(subject)s, 'manual', %(level)s, 'firing', clock_timestamp(), true, false, %(status)s, clock_timestamp(), %(detail)s)
RETURNING alert_id

-- name: raised_by_hand
-- The alert that the same request raised before.
SELECT alert_id FROM alert WHERE kind = 'manual' AND started_at > clock_timestamp() - interval '1 day'
    AND detail ->> 'request' = %(request)s ORDER BY started_at DESC LIMIT 1

-- name: shelvings
-- Of one alert, those that still hold.
SELECT silence_id, ends_at, reason FROM silence
WHERE alert_id = %(alert)s AND lifted_at IS NULL AND ends_at > clock_timestamp() ORDER BY silence_id

-- name: change_configuration
-- One at a time, so that what refers to each other stays whole.
SELECT pg_advisory_xact_lock(5521, 7), clock_timestamp()

-- name: rules_in_force
SELECT rule_id, kind, station_id, river_id, enabled, status, parameters, valid_from, author FROM alert_rule
WHERE valid_to IS NULL ORDER BY kind, station_id NULLS FIRST, river_id NULLS FIRST

-- name: close_rule
UPDATE alert_rule SET valid_to = %(at)s WHERE rule_id = %(rule)s AND valid_to IS NULL

-- name: add_rule
INSERT INTO alert_rule (kind, station_id, river_id, enabled, status, parameters, valid_from, author)
VALUES (%(kind)s, %(station)s, %(river)s, %(enabled)s, %(status)s, %(parameters)s, %(at)s, %(author)s) RETURNING rule_id

-- name: thresholds_of
-- Of a station, or of all, those in force at a moment or later.
SELECT station_id, level, valid_from, value_m, hysteresis_m, hold, consecutive, keep_firing FROM threshold
WHERE (valid_to IS NULL OR valid_to > %(at)s) AND (%(station)s::text IS NULL OR station_id = %(station)s)
ORDER BY station_id, level, valid_from

-- name: close_threshold
UPDATE threshold SET valid_to = %(at)s
WHERE station_id = %(station)s AND level = %(level)s AND valid_from = %(valid_from)s AND valid_from < %(at)s

-- name: drop_future_threshold
-- It never was in force.
DELETE FROM threshold WHERE station_id = %(station)s AND level = %(level)s AND valid_from = %(valid_from)s AND valid_from >= %(at)s

-- name: add_threshold
INSERT INTO threshold (station_id, level, valid_from, value_m, hysteresis_m, hold)
VALUES (%(station)s, %(level)s, %(at)s, %(value)s, %(hysteresis)s, NULL)

-- name: told_of_alert
-- What people were told of an alert, in order.
SELECT event, at FROM announcement
WHERE alert_id = %(alert)s AND told_at IS NOT NULL AND event IN ('raised', 'confirmed', 'resolved', 'withdrawn') ORDER BY announcement_id

-- name: newest_told
-- What people were told lately, newest first, and the how-manieth message of its alert that was.
SELECT n.alert_id, (SELECT count(*) FROM announcement e WHERE e.alert_id = n.alert_id AND e.told_at IS NOT NULL
        AND e.event IN ('raised', 'confirmed', 'resolved', 'withdrawn') AND e.announcement_id <= n.announcement_id)
FROM announcement n JOIN alert a USING (alert_id) LEFT JOIN station s USING (station_id)
WHERE n.told_at IS NOT NULL AND n.event IN ('raised', 'confirmed', 'resolved', 'withdrawn') AND a.status = %(status)s
    AND s.internal IS NOT TRUE
ORDER BY n.announcement_id DESC LIMIT %(limit)s

-- name: chronology_of_alerts
-- Alerts that touch the span, and when the water was highest.
SELECT a.alert_id, a.station_id, coalesce(s.river_id, substring(a.subject FROM '^river:(.+)$')), a.kind, a.subject, a.flood_level,
    a.state, a.status, a.started_at, a.ended_at, a.value_m, a.threshold_m, a.peak_m, a.verified, a.retroactive, a.detail, p.observed_at
FROM alert a LEFT JOIN station s USING (station_id)
LEFT JOIN LATERAL (
    SELECT r.observed_at FROM reading r WHERE a.kind = 'level' AND r.sensor_id = a.sensor_id AND r.observed_at >= a.started_at
        AND r.observed_at <= coalesce(a.ended_at, %(end)s) AND r.observed_at >= %(earliest)s AND r.observed_at < %(end)s AND r.flag < 4
    ORDER BY r.value DESC, r.observed_at LIMIT 1
) p ON true
WHERE a.started_at < %(end)s AND (a.ended_at IS NULL OR a.ended_at >= %(start)s) AND a.state <> 'pending'
    AND (a.retracted_at IS NULL OR a.paged_at IS NOT NULL) AND s.internal IS NOT TRUE
    AND (%(station)s::text IS NULL OR a.station_id = %(station)s)
    AND (%(river)s::text IS NULL OR s.river_id = %(river)s OR a.subject = 'river:' || %(river)s)
ORDER BY a.started_at, a.alert_id LIMIT %(limit)s

-- name: chronology_of_messages
-- Each attempt that decided something, and each message when it was written; nobody's address.
SELECT n.notification_id, n.alert_id, a.station_id, coalesce(s.river_id, i.river_id), n.channel, coalesce(c.name, n.contact_id),
    n.event, n.subject, n.created_at, n.delivered_at, n.given_up_at, n.attempts, t.at, coalesce(a.status, i.status, n.payload ->> 'status', 'test')
FROM notification n LEFT JOIN alert a USING (alert_id) LEFT JOIN station s USING (station_id)
LEFT JOIN incident i ON i.incident_id = n.incident_id LEFT JOIN contact c USING (contact_id)
LEFT JOIN LATERAL (SELECT at FROM attempt WHERE notification_id = n.notification_id AND outcome <> 'delivered' ORDER BY attempt_id LIMIT 1) t ON true
WHERE n.created_at < %(end)s AND n.created_at >= %(start)s AND n.channel <> 'log' AND s.internal IS NOT TRUE
    AND (i.topic IS NULL OR i.topic <> 'self_test')
    AND (%(station)s::text IS NULL OR a.station_id = %(station)s) AND (%(river)s::text IS NULL OR coalesce(s.river_id, i.river_id) = %(river)s)
ORDER BY n.created_at, n.notification_id LIMIT %(limit)s

-- name: chronology_of_audit
-- What people did, and what alerting itself went through.
SELECT u.audit_id, u.at, u.who, u.subject, u.subject_id, u.alert_id, u.event, u.note, u.detail, a.station_id,
    coalesce(s.river_id, substring(a.subject FROM '^river:(.+)$')), a.status, a.kind, a.flood_level, a.subject
FROM audit u LEFT JOIN alert a USING (alert_id) LEFT JOIN station s USING (station_id)
WHERE u.at >= %(start)s AND u.at < %(end)s AND s.internal IS NOT TRUE AND u.event <> 'self_test_passed'
    -- of what is registered the thresholds alone belong to what happened on a night: a sheet is thousands of lines
    AND u.subject NOT IN ('gateway', 'device_model', 'river', 'station', 'datum', 'cross_section', 'mark', 'sensor', 'device', 'deployment')
    AND (u.who <> 'kawamori' OR u.subject = 'alerting' OR u.event IN ('escalated', 'nobody_answered', 'confirmed', 'withdrawn'))
    AND ((%(station)s::text IS NULL AND %(river)s::text IS NULL) OR a.station_id = %(station)s
        OR (%(station)s::text IS NULL AND coalesce(s.river_id, substring(a.subject FROM '^river:(.+)$')) = %(river)s)
        OR u.subject IN ('alerting', 'rule'))
ORDER BY u.at, u.audit_id LIMIT %(limit)s

-- name: notifications_by_key
SELECT notification_id FROM notification WHERE idempotency_key = ANY(%(keys)s) ORDER BY notification_id

-- name: all_silences_there_were
-- Newest first, those that are over and those that were lifted too.
SELECT x.silence_id, x.alert_id, x.station_id, x.river_id, x.kinds, x.up_to_level, x.starts_at, x.ends_at, x.weekly, x.reason,
    x.author, x.lifted_at, x.lifted_by
FROM silence x WHERE x.silence_id < %(before_id)s AND (%(over)s OR (x.lifted_at IS NULL AND x.ends_at > clock_timestamp()))
ORDER BY x.silence_id DESC LIMIT %(limit)s

-- name: alerts_of_incident
-- An incident's alerts that people may see, in order of their beginning.
SELECT alert_id FROM alert
WHERE incident_id = %(incident)s AND (retracted_at IS NULL OR paged_at IS NOT NULL) ORDER BY started_at, alert_id

-- name: link_secret
SELECT value FROM secret WHERE name = 'links'
