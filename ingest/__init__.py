"""Validates, quality-controls and stores readings; acknowledges to the gateway only after the commit."""
