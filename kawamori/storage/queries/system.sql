-- name: alerting_state
-- Who leads and until when; since when a batch waits to be evaluated, and a message to be sent for which no other
-- channel has stood in (a person's test of a contact aside); the last self-test.
SELECT l.holder, l.until, clock_timestamp(),
    (SELECT b.committed_at FROM ingest_batch b WHERE (b.xid, b.batch_id) > (f.xid, f.batch_id) ORDER BY b.xid, b.batch_id LIMIT 1),
    (SELECT min(n.created_at) FROM notification n WHERE n.delivered_at IS NULL AND n.given_up_at IS NULL AND n.event <> 'test'
        AND NOT EXISTS (SELECT FROM notification o WHERE o.instead_of = n.notification_id AND o.delivered_at IS NOT NULL)),
    t.at, t.event
FROM (SELECT) one
LEFT JOIN lease l ON l.name = 'alerts'
LEFT JOIN feed_cursor f ON f.follower = 'alerts'
LEFT JOIN LATERAL (SELECT at, event FROM audit WHERE subject = 'alerting' AND event IN ('self_test_passed', 'self_test_failed')
    ORDER BY audit_id DESC LIMIT 1) t ON true
