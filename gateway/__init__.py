"""Receives what devices send, journals it on disk, forwards it until ingest says that it is stored."""
