"""What an operator sees: rules, dashboards and a real Prometheus."""
