"""What the gateway and the video service agree on about an upload: how large it may be, and the sign that it may go on."""

from pkg.settings import Count, Section

# Initial metadata of PublishAction; see protos/video.proto.
UPLOAD_ACCEPTED = ("x-upload", "accepted")


class UploadSettings(Section):
    """The section `upload`."""

    max_upload_mb: Count
    """The largest video in MiB."""

    @property
    def max_bytes(self) -> int:
        """The largest video in bytes."""
        return self.max_upload_mb * 1024 * 1024
