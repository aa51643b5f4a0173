"""A database of the Go original becomes ours: its tables, what was taken over so far, and how rows reach our tables in bulk."""
