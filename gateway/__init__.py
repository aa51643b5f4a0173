"""The HTTP gateway: HTTP with the app, gRPC with the six services. README.md holds the contract."""
