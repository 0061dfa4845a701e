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
-- Those of its own, and those of its incident that told of it too.
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
