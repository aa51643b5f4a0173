"""The limits of ffmpeg and ffprobe."""

from pkg.settings import Count, Seconds, Section


class MediaSettings(Section):
    """The section `media`: the limits of ffmpeg and ffprobe."""

    probe_timeout_s: Seconds
    """The deadline of one look into a file (ffprobe)."""
    process_timeout_s: Seconds
    """The deadline of one change of a file (ffmpeg)."""
    max_memory_mb: Count
    """The address space of one ffmpeg or ffprobe, in MiB."""
    max_parallel: Count
    """How many of them run at once in each lane (light, heavy); as many uploads of it are processed in parallel."""
    max_duration_s: Seconds
    """The longest video that is accepted."""
