"""The limits of ffmpeg and ffprobe."""

from pkg.settings import Count, Seconds, Section


class MediaSettings(Section):
    """The section `media`: what is accepted, and the limits of ffmpeg and ffprobe."""

    probe_timeout_s: Seconds
    """The deadline of one look into a file: ffprobe, a cover, the beginning of an audio stream."""
    read_timeout_s: Seconds
    """The deadline of reading a file to its end without decoding it; a conversion has it on top of its own."""
    stall_timeout_s: Seconds
    """A conversion that makes no progress for this long is killed, and tried again."""
    slowness_factor: Seconds
    """A conversion may take this many times its estimate, for a machine that is busy; then the video is refused."""
    max_cost_s: Seconds
    """The most expensive video that is accepted: estimated seconds of work; 2400 are 30 minutes of 720p at 30/s."""
    decoded_mpx_per_s: Seconds
    """How many million pixels a machine of two cores decodes in a second, at least."""
    encoded_mpx_per_s: Seconds
    """How many million pixels such a machine encodes in a second, at least."""
    tone_mapped_mpx_per_s: Seconds
    """How many million pixels of HDR such a machine turns into BT.709 in a second, at least."""
    max_picture_mpx: Seconds
    """The largest picture that is accepted, in million pixels; 36 are a little over 8K."""
    max_memory_mb: Count
    """The address space of one ffmpeg or ffprobe, in MiB."""
    max_parallel: Count
    """How many conversions run at once, and beside them how many of the steps that decode little or nothing."""
    max_duration_s: Seconds
    """The longest video that is accepted."""
