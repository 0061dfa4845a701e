"""Watches the thresholds in event time, and tells people."""
