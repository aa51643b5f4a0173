"""What stands between the product and a local Zipkin, which knows no OTLP: `python -m scripts.otlp_receiver`."""
