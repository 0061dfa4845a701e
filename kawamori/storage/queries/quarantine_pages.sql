-- name: quarantine_page
-- Of a payload only its beginning: a whole batch may be a megabyte.
SELECT quarantine_id, received_at, topic, device_id, reason, substring(payload, 1, %(most)s), octet_length(payload)
FROM quarantine
WHERE quarantine_id < %(before_id)s AND (%(device)s::text IS NULL OR device_id = %(device)s) AND replayed_at IS NULL
ORDER BY quarantine_id DESC LIMIT %(limit)s

-- name: quarantine_payload
SELECT payload FROM quarantine WHERE quarantine_id = %(id)s
