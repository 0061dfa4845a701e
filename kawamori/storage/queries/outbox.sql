-- name: put_notification
INSERT INTO notification (alert_id, incident_id, contact_id, channel, recipient, event, idempotency_key, subject, body,
    payload, instead_of, created_at)
VALUES (%(alert_id)s, %(incident_id)s, %(contact_id)s, %(channel)s, %(recipient)s, %(event)s, %(key)s, %(subject)s, %(body)s,
    %(payload)s, %(instead_of)s, coalesce(%(at)s, clock_timestamp()))
ON CONFLICT (idempotency_key) DO NOTHING

-- name: channels_due
SELECT DISTINCT channel FROM notification WHERE delivered_at IS NULL AND given_up_at IS NULL
    AND next_attempt_at <= clock_timestamp() AND (claimed_until IS NULL OR claimed_until < clock_timestamp())

-- name: claim_notifications
-- Due, and claimed by nobody or by somebody who died or froze (the last column). The condition stands twice: a window
-- cannot be locked.
UPDATE notification n SET claimed_until = clock_timestamp() + %(length)s
FROM (
    SELECT notification_id, claimed_until IS NOT NULL AS was_claimed FROM notification
    WHERE notification_id IN (
            SELECT notification_id FROM (
                SELECT notification_id, attempts, row_number() OVER (PARTITION BY recipient ORDER BY attempts > 0, notification_id) AS place
                FROM notification
                WHERE channel = %(channel)s AND delivered_at IS NULL AND given_up_at IS NULL AND next_attempt_at <= clock_timestamp()
                    AND (claimed_until IS NULL OR claimed_until < clock_timestamp()) AND recipient <> ALL(%(busy)s::text[])
            ) due
            WHERE place <= %(each)s ORDER BY attempts > 0, notification_id LIMIT %(limit)s)
        AND delivered_at IS NULL AND given_up_at IS NULL AND next_attempt_at <= clock_timestamp()
        AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
    FOR UPDATE SKIP LOCKED) found
WHERE n.notification_id = found.notification_id
RETURNING n.notification_id, alert_id, incident_id, contact_id, channel, recipient, event, idempotency_key, subject, body,
    payload, created_at, attempts, instead_of, n.claimed_until, found.was_claimed

-- name: claim_strays
UPDATE notification SET claimed_until = clock_timestamp() + %(length)s
WHERE notification_id IN (
    SELECT notification_id FROM notification
    WHERE channel <> ALL(%(channels)s::text[]) AND delivered_at IS NULL AND given_up_at IS NULL
        AND next_attempt_at <= clock_timestamp() AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
    ORDER BY notification_id LIMIT 100 FOR UPDATE SKIP LOCKED)
RETURNING notification_id, alert_id, incident_id, contact_id, channel, recipient, event, idempotency_key, subject, body,
    payload, created_at, attempts, instead_of, claimed_until, false

-- name: delivered
UPDATE notification SET delivered_at = coalesce(delivered_at, clock_timestamp()), attempts = attempts + 1,
    last_error = NULL, claimed_until = NULL
WHERE notification_id = %(id)s

-- name: need_not
-- The same message by other channels: the original, and whatever went out instead of it.
UPDATE notification o SET given_up_at = clock_timestamp(), last_error = 'delivered by another channel'
FROM notification n
WHERE n.notification_id = %(id)s AND o.notification_id <> n.notification_id AND o.delivered_at IS NULL
    AND o.given_up_at IS NULL
    AND coalesce(o.instead_of, o.notification_id) = coalesce(n.instead_of, n.notification_id)

-- name: not_delivered
-- A message that another channel has delivered meanwhile stays given up, for the same reason; it is under way no longer.
UPDATE notification SET attempts = attempts + 1, claimed_until = NULL,
    last_error = CASE WHEN given_up_at IS NULL THEN %(answer)s ELSE last_error END,
    next_attempt_at = clock_timestamp() + make_interval(secs => %(wait)s),
    given_up_at = coalesce(given_up_at, CASE WHEN %(give_up)s THEN clock_timestamp() END)
WHERE notification_id = %(id)s AND claimed_until = %(claim)s AND delivered_at IS NULL

-- name: attempted
INSERT INTO attempt (notification_id, outcome, answer) VALUES (%(id)s, %(outcome)s, %(answer)s)

-- name: one_at_a_time
-- Whoever claims messages about alerts sees what others are sending: two that contradict each other never overtake.
SELECT pg_advisory_xact_lock(hashtext('kawamori outbox'))

-- name: under_way
-- What somebody is sending now to these contacts, but for these messages: (message, contact, alert, event). What was
-- given up because another channel delivered it may still be on its way by this one.
SELECT n.notification_id, n.contact_id, (e.said ->> 'id')::bigint, e.said ->> 'event'
FROM notification n CROSS JOIN LATERAL jsonb_array_elements(n.payload -> 'alerts') e(said)
WHERE n.contact_id = ANY(%(contacts)s) AND n.notification_id <> ALL(%(ids)s::bigint[]) AND n.delivered_at IS NULL
    AND n.claimed_until > clock_timestamp() AND jsonb_typeof(n.payload -> 'alerts') = 'array'

-- name: put_back
UPDATE notification SET claimed_until = NULL, next_attempt_at = clock_timestamp() + interval '0.3 s'
WHERE notification_id = ANY(%(ids)s::bigint[])

-- name: tried_words
-- What these contacts were told of these alerts, or may have been: (contact, alert, message, event, whether it got through,
-- its last attempt that did or may have, whether somebody who sent it never said what came of it). An attempt that was
-- refused reached nobody.
SELECT n.contact_id, (e.said ->> 'id')::bigint, n.notification_id, e.said ->> 'event', n.delivered_at IS NOT NULL,
    (SELECT max(t.attempt_id) FROM attempt t WHERE t.notification_id = n.notification_id AND t.outcome IN ('delivered', 'failed')),
    n.delivered_at IS NULL AND n.claimed_until IS NOT NULL
FROM notification n CROSS JOIN LATERAL jsonb_array_elements(n.payload -> 'alerts') WITH ORDINALITY e(said, place)
WHERE n.contact_id = ANY(%(contacts)s) AND n.created_at > clock_timestamp() - interval '60 days'
    AND (n.attempts > 0 OR n.claimed_until IS NOT NULL) AND jsonb_typeof(n.payload -> 'alerts') = 'array'
    AND (e.said ->> 'id')::bigint = ANY(%(alerts)s::bigint[])
ORDER BY n.notification_id, e.place

-- name: supersede
UPDATE notification SET superseded = %(why)s, last_error = 'superseded: ' || %(why)s, given_up_at = clock_timestamp(),
    claimed_until = NULL WHERE notification_id = %(id)s

-- name: reword
UPDATE notification SET event = %(event)s, subject = %(subject)s, body = %(body)s, payload = %(payload)s
WHERE notification_id = %(id)s

-- name: messages_stuck
-- The newest link of each chain of one message's channels, where it failed for too long or was refused. The addresses
-- are those after which a contact has one more: whoever has none must not stand before those who have.
SELECT n.notification_id, n.alert_id, n.incident_id, n.contact_id, n.channel, n.recipient, n.event, n.idempotency_key,
    n.subject, n.body, n.payload, n.created_at, n.attempts, n.instead_of, n.claimed_until, false
FROM notification n
WHERE n.delivered_at IS NULL AND n.attempts > 0
    AND n.contact_id IS NOT NULL AND (n.contact_id, n.channel, n.recipient) IN (
        SELECT * FROM unnest(%(contacts)s::text[], %(channels)s::text[], %(recipients)s::text[]))
    AND (n.given_up_at IS NULL OR n.last_error <> 'delivered by another channel') AND n.superseded IS NULL
    AND n.created_at > clock_timestamp() - interval '3 days'
    AND (n.created_at < clock_timestamp() - %(after)s::interval
        OR EXISTS (SELECT FROM attempt a WHERE a.notification_id = n.notification_id AND a.outcome = 'refused'))
    AND NOT EXISTS (SELECT FROM notification o WHERE coalesce(o.instead_of, o.notification_id)
        = coalesce(n.instead_of, n.notification_id) AND (o.notification_id > n.notification_id OR o.delivered_at IS NOT NULL))
ORDER BY n.notification_id LIMIT 100 FOR UPDATE OF n SKIP LOCKED
