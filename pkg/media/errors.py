"""Why a video could not be handled, and what its author is told.

MediaError
├── UnreadableVideo     the file's fault: final
└── MediaToolFailed     the machine's fault: tried again
    └── TookTooLong     a deadline passed
"""

NOT_A_VIDEO = "这不是视频文件,请重新选择"
EMPTY = "文件是空的,请重新选择"
IS_PICTURE = "这是图片,不是视频,请重新选择"
IS_AUDIO = "这是音频,没有视频画面,请重新选择"
NO_PICTURE = "文件里没有视频画面,请重新选择"
UNKNOWN_FORMAT = "不支持这种视频格式,请转换后再上传"
DOLBY_VISION = "不支持这种杜比视界视频,请转成普通视频后再上传"
ENCRYPTED = "视频已加密,无法处理,请上传未加密的视频"
DAMAGED = "视频文件不完整或已损坏,请重新上传"
TOO_LONG = "视频太长,请剪短后再上传"
PICTURE_TOO_LARGE = "视频分辨率太高,请降低分辨率后再上传"
TOO_EXPENSIVE = "视频处理时间会太长,请剪短或降低分辨率、帧率后再上传"
PROCESSING_FAILED = "视频处理失败,请稍后重新上传"


def unsupported_format(name: str) -> str:
    """Return what the author of a video in a known but unsupported format is told."""
    return f"不支持 {name} 视频,请转换成 MP4 后再上传"


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


class TookTooLong(MediaToolFailed):
    """A process was killed at its deadline, although it may have made progress."""
