"""What the gateway and the video service agree on about an upload: how large it may be, how long it may take, and the sign that it may go on."""

from pkg.settings import Count, Section

# An upload gets time for its size on top of a deadline, at every stage of its way.
SLOWEST_BYTES_PER_S = 2_000_000

# Initial metadata of PublishAction; see protos/video.proto.
UPLOAD_ACCEPTED = ("x-upload", "accepted")


def transfer_time_s(size: int) -> float:
    """Return how long so many bytes may take from one server to the next."""
    return size / SLOWEST_BYTES_PER_S


class UploadSettings(Section):
    """The section `upload`."""

    max_upload_mb: Count
    """The largest video in MiB."""

    @property
    def max_bytes(self) -> int:
        """The largest video in bytes."""
        return self.max_upload_mb * 1024 * 1024
