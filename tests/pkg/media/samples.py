"""The kinds of files that people upload, and what they must not upload."""

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
# How files begin that are no videos.
OTHER_HEADS = {
    "empty": b"",
    "text": b"hello, this is not a video at all, but it is long enough to look at" * 9,
    "html": b"<!DOCTYPE html><html><body>mdat moov ftyp</body></html>" * 9,
    "playlist": media_samples.HLS_PLAYLIST,
    "concat list": b"ffconcat version 1.0\nfile /etc/passwd\n" * 9,
    "png": b"\x89PNG\r\n\x1a\n" + bytes(600),
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(600),
    "gif": b"GIF89a" + bytes(600),
    "webp": b"RIFF\x00\x10\x00\x00WEBPVP8 " + bytes(600),
    "wav": b"RIFF\x00\x10\x00\x00WAVEfmt " + bytes(600),
    "zip": b"PK\x03\x04" + bytes(600),
    "mp3": b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(600),
    "heic": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(600),
    "avif": b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00avifmif1" + bytes(600),
    "m4a": b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A isom" + bytes(600),
    "flv with audio alone": b"FLV\x01\x04\x00\x00\x00\x09" + bytes(600),
}
