"""gRPC as every process uses it: server life cycle, the error-carrying interceptor, discovery-backed clients."""
