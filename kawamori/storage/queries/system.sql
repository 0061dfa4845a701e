-- name: links
-- The newest sign of life of any ingest, every gateway as (name, seen, backlog, held since, set aside); and the time, by the clock
-- that all these were written by.
SELECT (SELECT max(seen_at) FROM process WHERE service = 'ingest'),
    (SELECT coalesce(jsonb_agg(jsonb_build_array(gateway_id, seen_at, backlog, held_since, set_aside) ORDER BY gateway_id), '[]')
        FROM gateway WHERE retired_at IS NULL AND seen_at IS NOT NULL),
    clock_timestamp()

-- name: database_time
SELECT clock_timestamp()

-- name: processes
-- Those that were there in the last quarter of an hour of the service: one that was restarted is soon no matter.
SELECT name, seen_at, clock_timestamp() FROM process WHERE service = %(service)s
    AND seen_at > (SELECT max(seen_at) FROM process WHERE service = %(service)s) - interval '15 minutes' ORDER BY name

-- name: note_start
WITH old AS (DELETE FROM service_start WHERE service = %(service)s AND started_at < clock_timestamp() - interval '1 day')
INSERT INTO service_start (service) VALUES (%(service)s)

-- name: restarts
-- How often processes of each service started in the last five minutes, and when one last did; those of a day.
SELECT service, count(*) FILTER (WHERE started_at > clock_timestamp() - interval '5 minutes'), max(started_at)
FROM service_start WHERE started_at > clock_timestamp() - interval '1 day' GROUP BY service ORDER BY service

-- name: intake
-- What was stored in the last minute, and when last. Batches that committed late are few and count a moment later.
SELECT (SELECT max(committed_at) FROM (SELECT committed_at FROM ingest_batch ORDER BY xid DESC, batch_id DESC LIMIT 1) newest),
    count(*), coalesce(sum(readings), 0)
FROM (SELECT committed_at, readings FROM ingest_batch ORDER BY xid DESC, batch_id DESC LIMIT %(limit)s) recent
WHERE committed_at > clock_timestamp() - interval '1 minute'

-- name: strangers
-- Gateways that are not registered and spoke within the day: how many, and the one that was heard last.
SELECT count(*), (SELECT gateway_id FROM unknown_gateway ORDER BY seen_at DESC LIMIT 1), max(seen_at)
FROM unknown_gateway WHERE seen_at > clock_timestamp() - interval '1 day'

-- name: quarantine_growth
-- What the last full hours and the running one added, and how much of it was past a sender's quota.
SELECT coalesce(sum(messages), 0), coalesce(sum(bytes), 0), coalesce(sum(excess), 0) FROM quarantine_use
WHERE hour > clock_timestamp() - interval '1 day'

-- name: database_size
SELECT pg_database_size(current_database())

-- name: quarantine_facts
-- What was refused within the hour and the day, counted to the limit, and the newest of all.
SELECT count(*) FILTER (WHERE received_at > %(now)s::timestamptz - interval '1 hour'), count(*),
    (SELECT jsonb_build_array(quarantine_id, received_at, reason) FROM quarantine ORDER BY quarantine_id DESC LIMIT 1)
FROM (SELECT received_at FROM quarantine WHERE received_at > %(now)s::timestamptz - interval '1 day' ORDER BY received_at DESC LIMIT %(limit)s) recent

-- name: alerting_state
-- Who leads, until when, and what it says of itself; since when a batch waits to be evaluated, and a message to be sent
-- for which no other channel has stood in (a person's test of a contact aside); whether a message about what still lasts
-- and nobody has answered was given up, and nothing else of its incident reached anybody since; the last self-test.
SELECT l.holder, l.until, l.has_listeners, l.self_test_every, clock_timestamp(),
    (SELECT b.committed_at FROM ingest_batch b WHERE (b.xid, b.batch_id) > (of_this_life(f.xid), f.batch_id)
        AND b.xid < pg_snapshot_xmax(pg_current_snapshot()) ORDER BY b.xid, b.batch_id LIMIT 1),
    (SELECT min(n.created_at) FROM notification n WHERE n.delivered_at IS NULL AND n.given_up_at IS NULL AND n.event <> 'test'
        AND NOT EXISTS (SELECT FROM notification o WHERE o.instead_of = n.notification_id AND o.delivered_at IS NOT NULL)),
    EXISTS (SELECT FROM alert a JOIN notification n USING (incident_id)
        WHERE a.state = 'firing' AND a.acknowledged_at IS NULL AND a.paged_at <= n.created_at AND n.given_up_at IS NOT NULL
        AND n.last_error IS DISTINCT FROM 'delivered by another channel' AND n.superseded IS NULL AND NOT EXISTS (SELECT FROM notification o WHERE o.incident_id = n.incident_id
            AND o.contact_id IS NOT NULL AND o.delivered_at IS NOT NULL AND o.created_at >= n.created_at)),
    t.at, t.event, l.clock_off_s, l.not_judged
FROM (SELECT) one
LEFT JOIN lease l ON l.name = 'alerts'
LEFT JOIN feed_cursor f ON f.follower = 'alerts'
LEFT JOIN LATERAL (SELECT at, event FROM audit WHERE subject = 'alerting' AND event IN ('self_test_passed', 'self_test_failed')
    ORDER BY audit_id DESC LIMIT 1) t ON true

-- name: judging_problems
-- Nothing while no engine has ever held the lease; of gateways those whose clocks are off.
SELECT (SELECT not_judged FROM lease WHERE name = 'alerts'), (SELECT clock_off_s FROM lease WHERE name = 'alerts'),
    (SELECT jsonb_object_agg(gateway_id, clock_off_s) FROM gateway WHERE retired_at IS NULL AND abs(clock_off_s) > 5)
