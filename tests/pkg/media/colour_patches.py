"""A reference picture: patches of known colours, as SDR in every description of colour, and as HDR by the standards' formulas."""

import math
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.media_samples import run_ffmpeg

RGB = tuple[float, float, float]
# Values of 0 to 1. Bright ones stay below where a tone curve must bend.
PATCHES: list[RGB] = [
    (0.2, 0.2, 0.2),
    (0.45, 0.45, 0.45),
    (0.7, 0.7, 0.7),
    (0.65, 0.25, 0.2),
    (0.2, 0.6, 0.25),
    (0.25, 0.3, 0.7),
    (0.7, 0.55, 0.45),
    (0.1, 0.1, 0.1),
]
PATCH_PX = 40
WHITE_NITS = 203
BT709_TO_BT2020 = [
    (0.6274, 0.3293, 0.0433),
    (0.0691, 0.9195, 0.0114),
    (0.0164, 0.0880, 0.8956),
]
BT2020_LUMA = (0.2627, 0.6780, 0.0593)


def make_sdr(
    path: Path, *, filters: str, encoder: str, size: tuple[int, int] | None = None
) -> Path:
    """Encode the patches after the given filters, which describe and convert their colours."""
    raw = path.with_suffix(".rgb")
    row = b"".join(bytes(round(v * 255) for v in rgb) * PATCH_PX for rgb in PATCHES)
    raw.write_bytes(row * PATCH_PX)
    width, height = size or (PATCH_PX * len(PATCHES), PATCH_PX)
    run_ffmpeg(
        *f"-f rawvideo -pix_fmt rgb24 -s {PATCH_PX * len(PATCHES)}x{PATCH_PX}".split(),
        *("-stream_loop", "4", "-i", str(raw), "-vf"),
        f"scale={width}:{height}:flags=neighbor,{filters}",
        *encoder.split(),
        str(path),
    )
    return path


def make_hdr(path: Path, *, transfer: str) -> Path:
    """Encode the patches as a phone films HDR: 10 bit, BT.2020, white paper at 203 cd/m2."""
    encode = {"smpte2084": encode_pq, "arib-std-b67": encode_hlg}[transfer]
    planes = [b"", b"", b""]
    for rgb in PATCHES:
        for plane, number in enumerate(_to_ycbcr(encode(_to_light(rgb)))):
            width = PATCH_PX if plane == 0 else PATCH_PX // 2
            planes[plane] += number.to_bytes(2, "little") * width
    frame = planes[0] * PATCH_PX + planes[1] * (PATCH_PX // 2) + planes[2] * (PATCH_PX // 2)
    raw = path.with_suffix(".yuv")
    raw.write_bytes(frame)
    tags = f"-colorspace bt2020nc -color_primaries bt2020 -color_trc {transfer} -color_range tv"
    run_ffmpeg(
        *f"-f rawvideo -pix_fmt yuv420p10le -s {PATCH_PX * len(PATCHES)}x{PATCH_PX}".split(),
        *("-stream_loop", "4", "-i", str(raw), *tags.split()),
        *["-c:v", "libx265", "-preset", "ultrafast", "-crf", "4", "-x265-params", "log-level=none"],
        str(path),
    )
    return path


def read_video(path: Path) -> list[RGB]:
    """Return the patches of a BT.709 video as its screen shows them."""
    filters = "scale=in_color_matrix=bt709:in_range=tv:flags=accurate_rnd+full_chroma_int"
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", filters, "-frames:v", "1"]
    command += ["-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    content = subprocess.run(command, capture_output=True, check=True).stdout
    width = len(content) // 3 // PATCH_PX
    return pick(lambda x, y: tuple(content[3 * (y * width + x) :][:3]))


def pick(read_pixel: Callable[[int, int], tuple[int, ...]]) -> list[RGB]:
    """Return the middle pixel of every patch."""
    middles = [PATCH_PX * number + PATCH_PX // 2 for number in range(len(PATCHES))]
    pixels = [read_pixel(x, PATCH_PX // 2) for x in middles]
    return [(p[0] / 255, p[1] / 255, p[2] / 255) for p in pixels]


def largest_error(found: list[RGB]) -> float:
    """Return how far the worst channel of the worst of the first patches is off."""
    pairs = [
        pair
        for rgb, want in zip(found, PATCHES, strict=False)
        for pair in zip(rgb, want, strict=True)
    ]
    return max(abs(channel - wanted) for channel, wanted in pairs)


def _to_light(rgb: RGB) -> RGB:
    """Return the light of a BT.2020 screen in cd/m2, of what a BT.1886 screen shows."""
    linear = [v**2.4 * WHITE_NITS for v in rgb]
    r, g, b = (sum(k * v for k, v in zip(row, linear, strict=True)) for row in BT709_TO_BT2020)
    return r, g, b


def encode_pq(light: RGB) -> RGB:
    """BT.2100: the inverse of the PQ curve."""

    def curve(nits: float) -> float:
        y = (nits / 10_000) ** 0.1593017578125
        return float(((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375)

    return curve(light[0]), curve(light[1]), curve(light[2])


def encode_hlg(light: RGB) -> RGB:
    """BT.2100: the inverse of the HLG system of a screen of 1000 cd/m2."""
    shown = [nits / 1000 for nits in light]
    luma = sum(k * v for k, v in zip(BT2020_LUMA, shown, strict=True))

    def curve(value: float) -> float:
        scene = value * luma ** (-0.2 / 1.2)
        if scene <= 1 / 12:
            return float((3 * scene) ** 0.5)
        return 0.17883277 * math.log(12 * scene - 0.28466892) + 0.55991073

    return curve(shown[0]), curve(shown[1]), curve(shown[2])


def _to_ycbcr(rgb: RGB) -> tuple[int, int, int]:
    r, _, b = rgb
    y = sum(k * v for k, v in zip(BT2020_LUMA, rgb, strict=True))
    cb, cr = (b - y) / 1.8814, (r - y) / 1.4746
    return round(64 + 876 * y), round(512 + 896 * cb), round(512 + 896 * cr)
