"""Turns a database of the Go original into ours; see "Taking over the original's database" in scripts/README.md."""
