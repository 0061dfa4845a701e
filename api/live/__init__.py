"""What the rivers do now: levels judged once for all, and the stream of events."""
