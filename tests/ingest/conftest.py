"""The databases of ingest's tests know the gateways `west` and `east`."""

import psycopg
import pytest


@pytest.fixture
def fresh_database_url(fresh_database_url):
    """A fresh, migrated database of this test alone, with two gateways."""
    with psycopg.connect(fresh_database_url) as connection:
        connection.execute("INSERT INTO gateway (gateway_id) VALUES ('west'), ('east')")
    return fresh_database_url
