"""MessageService: chat between friends."""
