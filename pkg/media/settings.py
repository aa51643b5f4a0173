"""The section `media`: the limits of ffmpeg and ffprobe."""

from pkg.settings import Count, Seconds, Section


class MediaSettings(Section):
    """How long, how large and how many at a time."""

    probe_timeout_s: Seconds
    process_timeout_s: Seconds
    max_memory_mb: Count
    max_parallel: Count
    max_duration_s: Seconds
