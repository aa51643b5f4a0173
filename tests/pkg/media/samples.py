"""The kinds of files that people upload, and what they must not upload."""

from pkg.media import errors
from tests import media_samples

H264 = "libx264 -preset ultrafast -pix_fmt yuv420p"
# What people's phones, cameras and programs write: file name, video encoder, audio encoder, options of the muxer.
KINDS: dict[str, tuple[str, str | None, str]] = {
    "front.mp4": (H264, "aac", "-movflags +faststart"),
    "end.mp4": (H264, "aac", ""),
    "end.mov": (H264, "aac", ""),
    "fragments.mp4": (H264 + " -g 5", "aac", "-movflags frag_keyframe+empty_moov"),
    "mp3.mp4": (H264, "libmp3lame", ""),
    "silent.mp4": (H264, None, ""),
    "full-range.mp4": ("libx264 -preset ultrafast -pix_fmt yuvj420p", "aac", ""),
    "many-colours.mp4": ("libx264 -preset ultrafast -pix_fmt yuv444p", "aac", ""),
    "hevc.mp4": ("libx265 -preset ultrafast -pix_fmt yuv420p10le -tag:v hvc1", "aac", ""),
    "mpeg4.mp4": ("mpeg4", "aac", ""),
    "old-phone.3gp": ("h263 -s 352x288", "aac", ""),
    "camera.mov": ("mjpeg", "pcm_s16le", ""),
    "h264.mkv": (H264, "aac", ""),
    "vp8.webm": ("libvpx -deadline realtime", "libopus", ""),
    "vp9.webm": ("libvpx-vp9 -deadline realtime -cpu-used 8", "libopus", ""),
    "browser.webm": ("libvpx -deadline realtime -f webm -live 1", "libopus", ""),
    "mpeg4.avi": ("mpeg4", "libmp3lame", ""),
    "flash.flv": ("flv", "libmp3lame -ar 44100", ""),
    "broadcast.ts": (H264, "aac", ""),
    "mpeg2.mpg": ("mpeg2video", "mp2", ""),
}
# How files begin that are not accepted, and what their author is told.
OTHER_HEADS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", errors.EMPTY),
    "text": (
        b"hello, this is not a video at all, but it is long enough to look at" * 9,
        errors.NOT_A_VIDEO,
    ),
    "html": (b"<!DOCTYPE html><html><body>mdat moov ftyp</body></html>" * 9, errors.NOT_A_VIDEO),
    "playlist": (media_samples.HLS_PLAYLIST, errors.NOT_A_VIDEO),
    "concat list": (b"ffconcat version 1.0\nfile /etc/passwd\n" * 9, errors.NOT_A_VIDEO),
    "zip": (b"PK\x03\x04" + bytes(600), errors.NOT_A_VIDEO),
    "utf-16 text": (b"\xff\xfeh\x00i\x00" * 90, errors.NOT_A_VIDEO),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(600), errors.IS_PICTURE),
    "jpeg": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(600), errors.IS_PICTURE),
    "gif": (b"GIF89a" + bytes(600), errors.IS_PICTURE),
    "webp": (b"RIFF\x00\x10\x00\x00WEBPVP8 " + bytes(600), errors.IS_PICTURE),
    "heic": (
        b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(600),
        errors.IS_PICTURE,
    ),
    "avif": (
        b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00avifmif1" + bytes(600),
        errors.IS_PICTURE,
    ),
    "wav": (b"RIFF\x00\x10\x00\x00WAVEfmt " + bytes(600), errors.IS_AUDIO),
    "mp3": (b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(600), errors.IS_AUDIO),
    "mp3 without a tag": (b"\xff\xfb\x90\x64" + bytes(600), errors.IS_AUDIO),
    "aac": (b"\xff\xf1\x50\x80" + bytes(600), errors.IS_AUDIO),
    "flac": (b"fLaC" + bytes(600), errors.IS_AUDIO),
    "ogg vorbis": (b"OggS" + bytes(24) + b"\x01vorbis" + bytes(600), errors.IS_AUDIO),
    "m4a": (b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A isom" + bytes(600), errors.IS_AUDIO),
    "flv with audio alone": (b"FLV\x01\x04\x00\x00\x00\x09" + bytes(600), errors.IS_AUDIO),
    "bought song": (
        b"\x00\x00\x00\x18ftypM4P \x00\x00\x00\x00M4P isom" + bytes(600),
        errors.ENCRYPTED,
    ),
    "wmv": (
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c" + bytes(600),
        "不支持 WMV 视频,请转换成 MP4 后再上传",
    ),
    "real media": (b".RMF\x00\x00\x00\x12" + bytes(600), errors.unsupported_format("RealMedia")),
    "mxf": (b"\x06\x0e\x2b\x34" + bytes(600), errors.unsupported_format("MXF")),
    "theora": (b"OggS" + bytes(24) + b"\x80theora" + bytes(600), errors.unsupported_format("OGG")),
}
