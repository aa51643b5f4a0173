"""Likes and follows as last-writer-wins registers: what one is (model.py) and how viewers read it (flags.py, lists.py).

Writing has three steps elsewhere: `services/actions` accepts an action and consumes it from the queue, `dal/redis/pending.py`
holds what MySQL has not absorbed yet, and `dal/db/absorption.py` absorbs it into rows and counters.
"""
