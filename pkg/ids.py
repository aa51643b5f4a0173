"""Ids are JSON numbers: a client that reads them as doubles must get them whole."""

MAX_ID = 2**53 - 1
