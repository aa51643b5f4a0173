"""The write path that likes and follows share: accept, consume, flush. The favorite and the relation service run it."""
