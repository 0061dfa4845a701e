"""The words of the trade as frozen types and pure functions; standard library only."""
