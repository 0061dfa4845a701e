"""All SQL of Kawamori: migrations, named queries, and the repositories that run them. Only importer of psycopg."""
