-- name: hold_lease
-- One's own that need not be renewed yet: locked, not written.
SELECT token, now() FROM lease WHERE name = 'alerts' AND holder = %(holder)s
    AND until > clock_timestamp() + %(length)s::interval / 2 FOR UPDATE

-- name: hold_lease_and_cursor
-- The same with the follower's place in the feed, locked too, and whether late readings wait: one question instead of
-- three at each visit to the feed. No row where the lease is to be renewed, or the follower has no cursor yet.
SELECT l.token, now(), c.xid::text, c.batch_id, EXISTS (SELECT FROM late_evaluation)
FROM lease l JOIN feed_cursor c ON c.follower = %(follower)s
WHERE l.name = 'alerts' AND l.holder = %(holder)s
    AND l.until > clock_timestamp() + %(length)s::interval / 2 FOR UPDATE

-- name: late_waits
SELECT EXISTS (SELECT FROM late_evaluation)

-- name: take_lease
-- Nobody's, one's own, or one that has run out.
INSERT INTO lease (name, holder, token, until) VALUES ('alerts', %(holder)s, 1, clock_timestamp() + %(length)s)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until,
    token = lease.token + (lease.holder <> excluded.holder)::integer
    WHERE lease.holder = excluded.holder OR lease.until < clock_timestamp()
RETURNING token, now()

-- name: describe_alerting
-- Said by whoever holds the lease; what is said already is not written again.
UPDATE lease SET has_listeners = %(has_listeners)s, self_test_every = %(self_test_every)s,
    clock_off_s = %(clock_off_s)s, not_judged = %(not_judged)s WHERE name = 'alerts'
    AND (has_listeners, self_test_every, clock_off_s, not_judged) IS DISTINCT FROM
        (%(has_listeners)s::boolean, %(self_test_every)s::interval, %(clock_off_s)s::float8, %(not_judged)s::jsonb)

-- name: rows_to_evaluate
-- Readings of several sensors, each in its own span (start excluded), in order of measurement; the outer bounds let the
-- planner leave out chunks.
SELECT w.sensor_id, r.observed_at, r.value, r.flag, r.reasons
FROM unnest(%(sensors)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS w(sensor_id, start, stop)
CROSS JOIN LATERAL (SELECT observed_at, value, flag, reasons FROM reading WHERE sensor_id = w.sensor_id
    AND observed_at > w.start AND observed_at <= w.stop AND observed_at > %(earliest)s AND observed_at <= %(latest)s
    AND flag NOT IN (4, 9)) r
ORDER BY w.sensor_id, r.observed_at

-- name: page_to_evaluate
SELECT observed_at, value, flag, reasons FROM reading
WHERE sensor_id = %(sensor)s AND observed_at > %(after)s AND observed_at <= %(until)s AND flag NOT IN (4, 9)
ORDER BY observed_at LIMIT %(limit)s

-- name: put_off
INSERT INTO late_evaluation (sensor_id, since, until) VALUES (%(sensor)s, %(since)s, %(until)s)
ON CONFLICT (sensor_id) DO UPDATE SET since = least(late_evaluation.since, excluded.since),
    until = greatest(late_evaluation.until, excluded.until)

-- name: next_late
SELECT sensor_id, since, until FROM late_evaluation ORDER BY put_off_at, sensor_id LIMIT 1

-- name: late_done
DELETE FROM late_evaluation WHERE sensor_id = %(sensor)s

-- name: calm_before
-- The last reading before a moment that is below all thresholds, not in doubt, and three hours after the last one that
-- was not: nothing is pending there, and no doubtful reading waits for another (kawamori/domain/rules/stay.py).
SELECT r.observed_at FROM reading r
WHERE r.sensor_id = %(sensor)s AND r.observed_at < %(before)s AND r.value < %(below)s AND r.flag NOT IN (3, 4, 9)
    AND NOT EXISTS (SELECT FROM reading h WHERE h.sensor_id = r.sensor_id AND h.observed_at < r.observed_at
        AND h.observed_at > r.observed_at - interval '3 hours' AND h.value >= %(below)s AND h.flag NOT IN (4, 9))
ORDER BY r.observed_at DESC LIMIT 1

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
-- keeps it), and a conversation that is closed is not theirs any more.
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

-- name: note
INSERT INTO audit (who, subject, subject_id, alert_id, event, note, detail)
VALUES (%(who)s, %(subject)s, %(id)s, %(alert)s, %(event)s, %(note)s, %(detail)s)

-- name: trends
SELECT sensor_id, trend_h, observed_at FROM latest_reading WHERE sensor_id = ANY(%(sensors)s)

-- name: values_now
SELECT sensor_id, value, observed_at FROM latest_reading WHERE sensor_id = ANY(%(sensors)s) AND value IS NOT NULL AND flag < 4

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
-- A flood wave is over when all its alerts have been for six hours; other conversations after ten minutes.
UPDATE incident i SET closed_at = %(now)s, escalate_at = NULL WHERE closed_at IS NULL
    AND NOT EXISTS (SELECT FROM alert a WHERE a.incident_id = i.incident_id AND (a.state IN ('pending', 'firing')
        OR greatest(a.ended_at, a.recorded_at) > %(now)s::timestamptz - CASE i.topic WHEN 'flood' THEN interval '6 hours' ELSE interval '10 minutes' END))
    AND NOT EXISTS (SELECT FROM alert a JOIN announcement n USING (alert_id) WHERE a.incident_id = i.incident_id AND n.told_at IS NULL)
    AND opened_at < %(now)s::timestamptz - interval '1 minute'

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

-- name: link_secret
SELECT value FROM secret WHERE name = 'links'

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
