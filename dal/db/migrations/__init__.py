"""Alembic's environment: every step from an empty database to the schema of `dal.db.models`."""
