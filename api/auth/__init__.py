"""Who asks and what they may do; the guard of all writes."""
