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
-- Nobody's, one's own, one that has run out, or that of an engine whose process is gone: the server has no session of its
-- name any more. (Asked only where our own session can be seen by its name: a pooler between may hide them all.)
INSERT INTO lease (name, holder, token, until) VALUES ('alerts', %(holder)s, 1, clock_timestamp() + %(length)s)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until,
    token = lease.token + (lease.holder <> excluded.holder)::integer
    WHERE lease.holder = excluded.holder OR lease.until < clock_timestamp() OR (
        starts_with(lease.holder, 'alerts-')
        AND EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'kawamori-' || excluded.holder)
        AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'kawamori-' || lease.holder)
    )
RETURNING token, now()

-- name: describe_alerting
-- Said by whoever holds the lease; what is said already is not written again.
UPDATE lease SET has_listeners = %(has_listeners)s, self_test_every = %(self_test_every)s,
    clock_off_s = %(clock_off_s)s, not_judged = %(not_judged)s WHERE name = 'alerts'
    AND (has_listeners, self_test_every, clock_off_s, not_judged) IS DISTINCT FROM
        (%(has_listeners)s::boolean, %(self_test_every)s::interval, %(clock_off_s)s::float8, %(not_judged)s::jsonb)
