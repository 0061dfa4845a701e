"""HTML: the light page, the built console, the documentation page, and the security headers."""
