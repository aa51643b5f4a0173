"""What goes wrong in a benchmark, in words for a person."""


class BenchError(Exception):
    """The benchmark cannot go on; the text says why, and what to do."""
