"""MessageService: chat between people."""
