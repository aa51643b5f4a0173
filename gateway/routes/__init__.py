"""The endpoints, one module per service."""
