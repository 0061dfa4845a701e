"""The commands of `kawamori …`, one file a topic; `kawamori.cli` gathers them."""
