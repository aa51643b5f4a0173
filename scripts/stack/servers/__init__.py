"""One module per outside server: its configuration, its process, its readiness."""
