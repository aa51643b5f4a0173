"""Whether docker-compose.yml can work, said without a container engine: `python -m scripts.checks.compose`."""
