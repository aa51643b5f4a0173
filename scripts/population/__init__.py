"""Thousands of users with videos, likes, follows, comments and messages, the same ones for the same seed; behind `scripts/seed --users N`."""
