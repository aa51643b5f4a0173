"""The HTTP gateway: speaks with the app as the HTTP contract says, and gRPC with the six services."""
