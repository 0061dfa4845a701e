"""Who is told of what: contacts, escalations, silences, alert rules."""
