"""Which frame of a video's beginning becomes its cover, from thumbnails of brightness alone."""

from dataclasses import dataclass
from statistics import fmean, pstdev

# The beginning is looked at in steps, so that a fade is seen and few frames have to be compared.
WINDOW_S = 5
STEP_S = 0.2
THUMBNAIL_SIDE_PX = 48
THUMBNAIL_BYTES = THUMBNAIL_SIDE_PX**2
# Of 255. A clear picture is neither dark nor of one shade; at night a picture that has shades has to do.
CLEAR_BRIGHTNESS = 40
CLEAR_CONTRAST = 30
FAINT_CONTRAST = 6


@dataclass(frozen=True)
class Impression:
    """How much of a frame can be seen."""

    brightness: float
    contrast: float

    @property
    def is_clear(self) -> bool:
        """Whether the frame shows something at first sight."""
        return self.brightness >= CLEAR_BRIGHTNESS and self.contrast >= CLEAR_CONTRAST


def read_impressions(thumbnails: bytes) -> list[Impression]:
    """Return the impression of each thumbnail."""
    starts = range(0, len(thumbnails) - THUMBNAIL_BYTES + 1, THUMBNAIL_BYTES)
    frames = [thumbnails[start : start + THUMBNAIL_BYTES] for start in starts]
    return [Impression(fmean(frame), pstdev(frame)) for frame in frames]


def choose_cover(impressions: list[Impression]) -> int:
    """Return the number of the first clear frame, else of the one with most contrast, else 0."""
    for number, impression in enumerate(impressions):
        if impression.is_clear:
            return number
    contrasts = [impression.contrast for impression in impressions]
    if not contrasts or max(contrasts) < FAINT_CONTRAST:
        return 0
    return contrasts.index(max(contrasts))
