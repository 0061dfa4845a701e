"""`kawamori bench`: how fast it is, on servers of its own, every ratio within one run."""
