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

-- name: raw_readings
-- `stated`: what the device said, where a person corrected it.
SELECT observed_at, value, flag, reasons, stated FROM reading
WHERE sensor_id = %(sensor)s AND observed_at >= %(start)s AND observed_at < %(end)s
ORDER BY observed_at LIMIT %(limit)s

-- name: ten_minute_readings
-- Failed readings are left out, as in the stored summaries. The start is one by the station's clock; what is stamped at the
-- end of its period counts, by `shift`, for the ten minutes before.
SELECT date_bin('10 minutes', observed_at - %(shift)s::interval, %(start)s::timestamptz) AS bucket, min(value), avg(value), max(value), count(*), sum(value)
FROM reading
WHERE sensor_id = %(sensor)s AND observed_at >= %(start)s::timestamptz + %(shift)s::interval
    AND observed_at < %(end)s::timestamptz + %(shift)s::interval
    AND flag < 4
GROUP BY bucket ORDER BY bucket LIMIT %(limit)s

-- name: hourly_readings
SELECT bucket, min, sum_micro / 1e6 / n, max, n, sum_micro / 1e6 FROM reading_hour
WHERE sensor_id = %(sensor)s AND bucket >= %(start)s AND bucket < %(end)s
ORDER BY bucket LIMIT %(limit)s

-- name: daily_readings
SELECT bucket, min, sum_micro / 1e6 / n, max, n, sum_micro / 1e6 FROM reading_day
WHERE sensor_id = %(sensor)s AND bucket >= %(start)s AND bucket < %(end)s
ORDER BY bucket LIMIT %(limit)s

-- name: weekly_readings
-- Weeks begin on the station's Monday.
SELECT time_bucket('1 week', bucket, %(time_zone)s) AS week, min(min), sum(sum_micro) / 1e6 / sum(n), max(max),
    sum(n)::bigint, sum(sum_micro) / 1e6
FROM reading_day
WHERE sensor_id = %(sensor)s AND bucket >= %(start)s AND bucket < %(end)s
GROUP BY week ORDER BY week LIMIT %(limit)s

-- name: count_raw_readings
-- How many, but no further than the limit.
SELECT count(*) FROM (
    SELECT FROM reading
    WHERE sensor_id = %(sensor)s AND observed_at >= %(start)s AND observed_at < %(end)s LIMIT %(limit)s
) found

-- name: count_hourly_readings
SELECT count(*) FROM (
    SELECT FROM reading_hour
    WHERE sensor_id = %(sensor)s AND bucket >= %(start)s AND bucket < %(end)s LIMIT %(limit)s
) found

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

-- name: incidents_page
-- Conversations, the newest first, with what belongs to them.
SELECT i.incident_id, i.topic, i.river_id, i.status, i.opened_at, i.closed_at, i.escalation_id, i.step, i.round, i.escalate_at,
    ARRAY(SELECT a.alert_id FROM alert a WHERE a.incident_id = i.incident_id AND (a.retracted_at IS NULL OR a.paged_at IS NOT NULL)
        ORDER BY a.started_at, a.alert_id)
FROM incident i
WHERE i.incident_id < %(before_id)s AND i.topic <> 'self_test' AND (%(open)s::boolean IS NULL OR (i.closed_at IS NULL) = %(open)s)
ORDER BY i.incident_id DESC LIMIT %(limit)s

-- name: audit_page
-- Who changed what, newest first.
SELECT audit_id, at, who, subject, subject_id, alert_id, event, note, detail FROM audit
WHERE audit_id < %(before_id)s AND at >= %(start)s AND at < %(end)s
    AND (%(subject)s::text IS NULL OR subject = %(subject)s) AND (%(subject_id)s::text IS NULL OR subject_id = %(subject_id)s)
ORDER BY audit_id DESC LIMIT %(limit)s

-- name: audit_of_alert
-- What happened to one alert, in order.
SELECT audit_id, at, who, subject, subject_id, alert_id, event, note, detail FROM audit
WHERE alert_id = %(alert)s ORDER BY audit_id DESC LIMIT %(limit)s

-- name: notifications_page
-- `name`: of the contact, if it is still there.
SELECT n.notification_id, n.alert_id, n.incident_id, n.contact_id, c.name, n.channel, n.recipient, n.event, n.subject, n.body,
    n.created_at, n.attempts, n.delivered_at, n.given_up_at, n.last_error, n.instead_of,
    coalesce((SELECT jsonb_agg(jsonb_build_object('at', t.at, 'outcome', t.outcome, 'answer', t.answer) ORDER BY t.attempt_id)
        FROM (SELECT * FROM attempt WHERE notification_id = n.notification_id ORDER BY attempt_id DESC LIMIT 20) t), '[]')
FROM notification n LEFT JOIN contact c USING (contact_id)
WHERE n.notification_id < %(before_id)s
ORDER BY n.notification_id DESC LIMIT %(limit)s

-- name: notifications_of_alert
-- Those of its own, and those of its conversation that told of it too.
SELECT n.notification_id, n.alert_id, n.incident_id, n.contact_id, c.name, n.channel, n.recipient, n.event, n.subject, n.body,
    n.created_at, n.attempts, n.delivered_at, n.given_up_at, n.last_error, n.instead_of,
    coalesce((SELECT jsonb_agg(jsonb_build_object('at', t.at, 'outcome', t.outcome, 'answer', t.answer) ORDER BY t.attempt_id)
        FROM (SELECT * FROM attempt WHERE notification_id = n.notification_id ORDER BY attempt_id DESC LIMIT 20) t), '[]')
FROM notification n LEFT JOIN contact c USING (contact_id)
WHERE n.alert_id = %(alert)s OR (n.incident_id = (SELECT incident_id FROM alert WHERE alert_id = %(alert)s)
    AND n.payload @> jsonb_build_object('alerts', jsonb_build_array(jsonb_build_object('id', %(alert)s::bigint))))
ORDER BY n.notification_id DESC LIMIT %(limit)s

-- name: notifications_by_id
SELECT n.notification_id, n.alert_id, n.incident_id, n.contact_id, c.name, n.channel, n.recipient, n.event, n.subject, n.body,
    n.created_at, n.attempts, n.delivered_at, n.given_up_at, n.last_error, n.instead_of,
    coalesce((SELECT jsonb_agg(jsonb_build_object('at', t.at, 'outcome', t.outcome, 'answer', t.answer) ORDER BY t.attempt_id)
        FROM (SELECT * FROM attempt WHERE notification_id = n.notification_id ORDER BY attempt_id DESC LIMIT 20) t), '[]')
FROM notification n LEFT JOIN contact c USING (contact_id)
WHERE n.notification_id = ANY(%(ids)s) ORDER BY n.notification_id DESC

-- name: quarantine_page
-- Of a payload only its beginning: a whole batch may be a megabyte.
SELECT quarantine_id, received_at, topic, device_id, reason, substring(payload, 1, %(most)s), octet_length(payload)
FROM quarantine
WHERE quarantine_id < %(before_id)s AND (%(device)s::text IS NULL OR device_id = %(device)s) AND replayed_at IS NULL
ORDER BY quarantine_id DESC LIMIT %(limit)s

-- name: quarantine_payload
SELECT payload FROM quarantine WHERE quarantine_id = %(id)s

-- name: newest_in_spans
-- Of each touched span the newest readings; the outer bounds let the planner leave out chunks.
SELECT t.span, r.observed_at, r.value, r.flag, r.received_at
FROM unnest(%(sensors)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
    WITH ORDINALITY AS t(sensor_id, start, stop, span)
CROSS JOIN LATERAL (
    SELECT observed_at, value, flag, received_at FROM reading
    WHERE sensor_id = t.sensor_id AND observed_at >= t.start AND observed_at <= t.stop
        AND observed_at >= %(earliest)s AND observed_at <= %(latest)s
    ORDER BY observed_at DESC LIMIT %(each)s
) r
ORDER BY t.span, r.observed_at

-- name: missed_after
-- Whether the feed still knows the place, and of the batches after it, no further than the limit, how many they are, how many
-- readings of them would travel, and over how long they were stored.
SELECT EXISTS (SELECT FROM ingest_batch WHERE xid = %(xid)s::xid8 AND batch_id = %(batch_id)s),
    count(*), coalesce(sum(least(readings, %(each)s * cardinality(sensor_ids))), 0)::bigint,
    coalesce(max(committed_at) - min(committed_at), '0')
FROM (
    SELECT readings, sensor_ids, committed_at FROM ingest_batch b
    WHERE (b.xid, batch_id) > (of_this_life(%(xid)s::xid8), %(batch_id)s)
        AND b.xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY b.xid, batch_id LIMIT %(limit)s
) missed

-- name: alert_changes_after
-- `settled`: no row before it can still appear. What a restored database wrote in its former life is no news.
SELECT u.xid::text, u.audit_id, u.alert_id, u.xid < pg_snapshot_xmin(pg_current_snapshot()) AS settled
FROM audit u
WHERE u.alert_id IS NOT NULL AND u.xid < pg_snapshot_xmax(pg_current_snapshot())
    AND (u.xid, u.audit_id) > (of_this_life(%(xid)s::xid8), %(audit_id)s)
ORDER BY u.xid, u.audit_id LIMIT %(limit)s

-- name: newest_alert_change
SELECT u.xid::text, audit_id FROM audit u
WHERE alert_id IS NOT NULL AND u.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY u.xid DESC, audit_id DESC LIMIT 1

-- name: internal_alerts
-- Those of the self-test's own station.
SELECT a.alert_id FROM alert a JOIN station s USING (station_id) WHERE a.alert_id = ANY(%(ids)s) AND s.internal
