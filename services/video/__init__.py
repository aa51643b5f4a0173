"""VideoService: publishing, what became of it, and the feed."""
