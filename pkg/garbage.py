"""How often a process looks for garbage that holds itself: python's rhythm is that of a script, not of a server."""

import gc

# Python looks at the youngest objects after every 700 that were made: with sixty requests under way, at almost each of them, and what
# each still needs then grows old. Memory for this many is some megabytes.
YOUNG_OBJECTS = 25_000
YOUNG_TURNS = 20
MIDDLE_TURNS = 20


def collect_less_often() -> None:
    """Leave alone what is there when a process begins to serve, and look at what comes later less often.

    Almost nothing needs it: what no longer has a name is freed at once, without a collector. Only circles wait.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_TURNS, MIDDLE_TURNS)
