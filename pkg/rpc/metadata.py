"""The keys of gRPC metadata that the gateway and the services agree on."""

REQUEST_ID_KEY = "x-request-id"
CLIENT_ADDRESS_KEY = "x-client-address"  # whose address the gateway saw
