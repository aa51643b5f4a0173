"""Likes and follows as registers: what one is (model.py), and how viewers read them (flags.py, lists.py).

Writing takes three steps elsewhere: `services/actions` accepts an action and consumes it from the queue, `dal/redis/pending.py` keeps it
until MySQL has it, and `dal/db/absorption.py` absorbs it into rows and counters.
"""
