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
