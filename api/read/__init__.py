"""The routes that only read: stations, levels, readings, alerts, the system's state."""
