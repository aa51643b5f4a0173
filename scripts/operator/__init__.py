"""What an operator does to a running system: migrate it, check its counters, replay what went nowhere, rotate keys."""
