"""The shared data-access layer: MySQL in `dal.db`, Redis in `dal.redis`."""
