"""What the numbers of a picture mean as colours, and the filters that turn them into what every screen shows.

Colour is described by metadata: primaries, transfer, matrix and range. Where they are missing, the conventions hold by
which players guess. HDR is what a transfer for bright screens (PQ, HLG) says.
"""

from dataclasses import dataclass

HDR_TRANSFERS = frozenset({"smpte2084", "arib-std-b67"})
# Names that zscale can convert from; others are as good as missing.
KNOWN_MATRICES = frozenset(
    {"bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "ycgco", "bt2020nc", "bt2020c"}
)
KNOWN_PRIMARIES = frozenset(
    {"bt709", "bt470m", "bt470bg", "smpte170m", "smpte240m", "film", "bt2020"}
    | {"smpte428", "smpte431", "smpte432", "ebu3213", "jedec-p22"}
)
KNOWN_TRANSFERS = HDR_TRANSFERS | frozenset(
    {"bt709", "smpte170m", "smpte240m", "iec61966-2-4", "linear"}
    | {"bt470m", "bt470bg", "bt2020-10", "bt2020-12"}
)
# ffprobe prints two transfers by names that the filters do not take. Screens show sRGB and BT.709 alike, so that the
# numbers of such a picture must not change.
TRANSFER_NAMES = {"gamma22": "bt470m", "gamma28": "bt470bg", "iec61966-2-1": "bt709"}
RGB_FORMATS = ("rgb", "bgr", "gbr", "argb", "abgr", "pal8", "0rgb", "0bgr", "rgba", "bgra")
# From this size on, pictures without a description are taken for high definition (BT.709), as players do it.
HD_WIDTH_PX = 1280
HD_HEIGHT_PX = 577
# BT.2408: white paper has 203 cd/m2 in HDR; phones grade up to 1000.
REFERENCE_WHITE_NITS = 203
PEAK_NITS = 1000
# The share of the range that the tone curve leaves as it is.
TONE_KNEE = 0.7


@dataclass(frozen=True)
class Colour:
    """The meaning of a picture's numbers, by ffmpeg's names; complete, conventions filled in."""

    matrix: str
    primaries: str
    transfer: str
    is_full_range: bool
    is_rgb: bool = False

    @property
    def is_hdr(self) -> bool:
        """Whether the picture was made for brighter screens than players assume."""
        return self.transfer in HDR_TRANSFERS

    @property
    def is_wide(self) -> bool:
        """Whether the picture has colours that BT.709 screens do not have."""
        return self.primaries == "bt2020" or self.matrix in ("bt2020nc", "bt2020c")


BT709 = Colour("bt709", "bt709", "bt709", is_full_range=False)


@dataclass(frozen=True)
class ColourTags:
    """What a stream says about its colours; "" where it does not."""

    matrix: str = ""
    primaries: str = ""
    transfer: str = ""
    range: str = ""


def resolve_colour(
    tags: ColourTags, *, codec: str, pixel_format: str, width: int, height: int
) -> Colour:
    """Return what the tags say, and what players assume where they say nothing."""
    transfer = TRANSFER_NAMES.get(tags.transfer, tags.transfer)
    convention = _convention(tags, transfer, codec=codec, width=width, height=height)
    return Colour(
        matrix=tags.matrix if tags.matrix in KNOWN_MATRICES else convention.matrix,
        primaries=tags.primaries if tags.primaries in KNOWN_PRIMARIES else convention.primaries,
        transfer=transfer if transfer in KNOWN_TRANSFERS else convention.transfer,
        is_full_range=tags.range == "pc" or pixel_format.startswith("yuvj"),
        is_rgb=pixel_format.startswith(RGB_FORMATS),
    )


def _convention(tags: ColourTags, transfer: str, *, codec: str, width: int, height: int) -> Colour:
    wide = "bt2020" in tags.matrix or "bt2020" in tags.primaries or transfer in HDR_TRANSFERS
    if wide:
        return Colour("bt2020nc", "bt2020", "bt2020-10", is_full_range=False)
    if codec == "mjpeg":  # JFIF: BT.601 whatever the size
        return Colour("bt470bg", "bt709", "bt709", is_full_range=True)
    if width >= HD_WIDTH_PX or height >= HD_HEIGHT_PX:
        return BT709
    # The matrix is a habit of encoders; phosphors of 1980 are not. Who made this had a screen of today, and players show it so.
    return Colour("smpte170m", "bt709", "bt709", is_full_range=False)


def bt709_filters(colour: Colour, fit: str) -> list[str]:
    """Return the filters that shrink with `fit` and make 8-bit BT.709 of limited range, tone-mapped from HDR."""
    declared = _declare(BT709)
    if colour.is_rgb:
        return [f"{fit}:out_color_matrix=bt709:out_range=tv", "format=yuv420p", declared]
    fitted = [_declare(colour), _keep_range(fit, colour)]
    if colour.is_hdr:
        return [*fitted, *_tone_map(), "format=yuv420p", declared]
    if colour == BT709:
        return [*fitted, "format=yuv420p", declared]
    convert = "zscale=matrix=709:primaries=709:transfer=709:range=limited"
    return [*fitted, convert, "format=yuv420p", declared]


def jpeg_filters(colour: Colour, fit: str) -> list[str]:
    """Return the filters that shrink with `fit` and make what a JPEG holds: BT.601 of full range."""
    fitted = [_declare(colour), _keep_range(fit, colour)]
    if colour.is_hdr or colour.is_wide:
        fitted = [*bt709_filters(colour, fit)]
    # The transfer stays: BT.709 video and sRGB pictures are shown alike.
    return [*fitted, "zscale=matrix=170m:range=full", "format=yuvj420p"]


def _declare(colour: Colour) -> str:
    shown_range = "pc" if colour.is_full_range else "tv"
    return (
        f"setparams=colorspace={colour.matrix}:color_primaries={colour.primaries}"
        f":color_trc={colour.transfer}:range={shown_range}"
    )


def _keep_range(fit: str, colour: Colour) -> str:
    """Shrink without touching the numbers' meaning, which the scaler would otherwise guess."""
    kept = "pc" if colour.is_full_range else "tv"
    return f"{fit}:in_range={kept}:out_range={kept}"


def _tone_map() -> list[str]:
    """Darken what is brighter than a screen shows and keep the rest, in linear light.

    The library applies the system curve of HLG to each channel and not to the brightness, as all of ffmpeg's users have
    it: greys are exact, strong colours of HLG come out a little stronger.
    """
    peak = PEAK_NITS / REFERENCE_WHITE_NITS
    return [
        f"zscale=transfer=linear:npl={REFERENCE_WHITE_NITS}",
        "format=gbrpf32le",
        "zscale=primaries=709",
        f"tonemap=mobius:param={TONE_KNEE}:peak={peak:.2f}:desat=0",
        "zscale=transfer=709:matrix=709:range=limited",
    ]
