"""How far ffmpeg is, as it prints it with `-progress`."""

from collections.abc import Callable

# What rises while a conversion gets on. `out_time_us` stands still where frames have no length.
RISING = (b"frame", b"out_time_us", b"total_size")


class Progress:
    """Reads what ffmpeg prints and tells the share that is done."""

    def __init__(
        self, duration_s: float | None, on_progress: Callable[[float], None] | None
    ) -> None:
        self._duration_s = duration_s
        self._on_progress = on_progress
        self._values: dict[bytes, int] = {}
        self._rest = b""
        self.share = 0.0

    def feed(self, chunk: bytes) -> bool:
        """Take the next piece of output; tell whether it shows progress."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return sum(self._take(line) for line in lines) > 0

    def _take(self, line: bytes) -> bool:
        key, _, text = line.partition(b"=")
        if key not in RISING or not text.strip().isdigit():
            return False
        value = int(text)
        if value <= self._values.get(key, 0):
            return False
        self._values[key] = value
        if key == b"out_time_us":
            self._tell(value / 1_000_000)
        return True

    def _tell(self, done_s: float) -> None:
        if not self._duration_s:
            return
        # The end is told once the result was checked.
        share = min(0.99, done_s / self._duration_s)
        if share > self.share:
            self.share = share
            if self._on_progress:
                self._on_progress(share)
