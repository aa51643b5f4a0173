"""What scripts/check asks of the source, beyond what well-known tools do; each module is one check."""
