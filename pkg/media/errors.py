"""Why a video could not be handled, and what its author is told.

MediaError
├── UnreadableVideo     the file's fault: final
└── MediaToolFailed     the machine's fault: tried again
"""

NOT_A_VIDEO = "这不是视频文件,请重新选择"
NO_PICTURE = "文件里没有视频画面,请重新选择"
UNKNOWN_FORMAT = "不支持这种视频格式,请转换后再上传"
DAMAGED = "视频文件不完整或已损坏,请重新上传"
TOO_LONG = "视频太长,请剪短后再上传"
PROCESSING_FAILED = "视频处理失败,请稍后重新上传"


class MediaError(Exception):
    """A video could not be handled; `reason` is for its author, `detail` for the log."""

    def __init__(self, reason: str, *, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason} ({detail})" if detail else reason)


class UnreadableVideo(MediaError):
    """The fault is in the file: trying again does not help."""


class MediaToolFailed(MediaError):
    """ffmpeg ran out of time, memory or disk, or crashed: trying again may help."""

    def __init__(self, detail: str) -> None:
        super().__init__(PROCESSING_FAILED, detail=detail)
