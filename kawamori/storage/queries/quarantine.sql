-- name: quarantine
-- A message that comes again is the same message; a batch sent again changes nothing. Whether each is new, and its size.
INSERT INTO quarantine (received_at, topic, device_id, reason, payload, gateway_id)
SELECT n.* FROM unnest(%(received)s::timestamptz[], %(topics)s::text[], %(devices)s::text[], %(reasons)s::text[],
    %(payloads)s::bytea[], %(gateways)s::text[]) AS n
ON CONFLICT (topic, digest) DO UPDATE SET came_again_at = greatest(quarantine.came_again_at, excluded.received_at)
WHERE excluded.received_at > quarantine.received_at
RETURNING xmax = 0, gateway_id, device_id, octet_length(payload)

-- name: hold_quarantine_use
-- What each sender put into quarantine within this hour; nobody else adds to it until the transaction ends.
INSERT INTO quarantine_use (subject, hour) SELECT s, date_trunc('hour', clock_timestamp()) FROM unnest(%(subjects)s::text[]) s
ORDER BY s ON CONFLICT (subject, hour) DO UPDATE SET subject = excluded.subject
RETURNING subject, hour, messages, bytes, excess, excess_id

-- name: note_quarantine_use
UPDATE quarantine_use u SET messages = n.messages, bytes = n.bytes, excess = n.excess, excess_id = n.excess_id
FROM unnest(%(subjects)s::text[], %(hours)s::timestamptz[], %(messages)s::bigint[], %(bytes)s::bigint[],
    %(excess)s::bigint[], %(ids)s::bigint[]) AS n(subject, hour, messages, bytes, excess, excess_id)
WHERE u.subject = n.subject AND u.hour = n.hour

-- name: put_excess
-- The one row that stands for what was not kept of a sender within an hour.
INSERT INTO quarantine (received_at, topic, device_id, reason, payload, gateway_id)
VALUES (%(received_at)s, %(topic)s, %(device_id)s, %(reason)s, %(payload)s, %(gateway_id)s)
ON CONFLICT (topic, digest) DO UPDATE SET reason = excluded.reason, came_again_at = excluded.received_at
RETURNING quarantine_id

-- name: renew_excess
UPDATE quarantine SET received_at = %(received_at)s, reason = %(reason)s, payload = %(payload)s WHERE quarantine_id = %(id)s

-- name: unknown_bytes
SELECT gateway_id, sum(octet_length(payload)) FROM quarantine WHERE reason = %(reason)s AND replayed_at IS NULL GROUP BY 1

-- name: ask_for_replay
-- What is asked for at once is known by its moment. The newest come first into an hour's quota, the oldest first out of it.
UPDATE quarantine SET replay_requested_at = now(), replay_result = NULL WHERE quarantine_id IN (
    SELECT quarantine_id FROM quarantine WHERE replayed_at IS NULL AND topic NOT LIKE 'excess/%%'
        AND (%(reason)s::text IS NULL OR position(%(reason)s in reason) > 0)
        AND (%(device)s::text IS NULL OR device_id = %(device)s) AND (%(gateway)s::text IS NULL OR gateway_id = %(gateway)s)
    ORDER BY quarantine_id LIMIT %(limit)s)
RETURNING replay_requested_at

-- name: replay_progress
SELECT count(*) FILTER (WHERE replayed_at IS NOT NULL), count(*) FILTER (WHERE replayed_at IS NULL AND replay_result IS NOT NULL),
    count(*) FILTER (WHERE replayed_at IS NULL AND replay_result IS NULL)
FROM quarantine WHERE replay_requested_at = %(at)s

-- name: replay_refused
SELECT replay_result, count(*) FROM quarantine WHERE replay_requested_at = %(at)s AND replayed_at IS NULL
    AND replay_result IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20

-- name: to_replay
-- The next that were asked for, the oldest first, up to so many bytes but at least one.
SELECT q.quarantine_id, q.received_at, q.topic, q.device_id, q.reason, q.payload, q.gateway_id FROM (
    SELECT quarantine_id, row_number() OVER w AS place, sum(octet_length(payload)) OVER w AS so_far FROM (
        SELECT quarantine_id, payload FROM quarantine
        WHERE replay_requested_at IS NOT NULL AND replayed_at IS NULL AND replay_result IS NULL
        ORDER BY quarantine_id LIMIT %(limit)s) waiting
    WINDOW w AS (ORDER BY quarantine_id)) picked
JOIN quarantine q USING (quarantine_id) WHERE place = 1 OR so_far <= %(bytes)s ORDER BY q.quarantine_id

-- name: note_replay
UPDATE quarantine q SET replayed_at = CASE WHEN n.done THEN clock_timestamp() END, replay_result = n.result
FROM unnest(%(ids)s::bigint[], %(done)s::boolean[], %(results)s::text[]) AS n(id, done, result)
WHERE q.quarantine_id = n.id AND q.replayed_at IS NULL

-- name: quarantined_rows
-- A page of what is not replayed, the oldest first.
SELECT quarantine_id, received_at, topic, device_id, reason, payload, gateway_id FROM quarantine
WHERE quarantine_id > %(after)s AND replayed_at IS NULL AND topic NOT LIKE 'excess/%%'
    AND (%(reason)s::text IS NULL OR position(%(reason)s in reason) > 0)
    AND (%(device)s::text IS NULL OR device_id = %(device)s)
ORDER BY quarantine_id LIMIT %(limit)s

-- name: quarantine_by_reason
SELECT reason, device_id, count(*), min(received_at), max(coalesce(came_again_at, received_at)) FROM quarantine
WHERE replayed_at IS NULL AND (%(reason)s::text IS NULL OR position(%(reason)s in reason) > 0)
    AND (%(device)s::text IS NULL OR device_id = %(device)s)
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %(limit)s
