"""What other systems read: CAP messages, their Atom feed, the chronology."""
