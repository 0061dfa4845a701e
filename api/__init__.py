"""The HTTP side: what the rivers do now and did before, live and by page, and the built web console."""
