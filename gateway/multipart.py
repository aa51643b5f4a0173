"""The upload form, parsed while it arrives."""

import re
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

from pkg.errors import InvalidParameter, PayloadTooLarge

VIDEO_FIELD = "data"
TEXT_FIELDS = frozenset({"title", "token"})
KNOWN_FIELDS = TEXT_FIELDS | {VIDEO_FIELD}
MAX_TEXT_BYTES = 64 * 1024
MAX_PARTS = 32
BROKEN_FORM = "上传内容不完整,请重新上传"
NO_FORM = "请以表单方式上传视频"
REPEATED_FIELD = "参数 {} 重复,请检查后重试"
MISSING_FIELD = "缺少参数 {},请补全后重试"


class UploadForm:
    """A push parser: `feed` it the body, take the video's bytes away, `finish` it, read the fields.

    Fields may come in any order. What does not concern us is skipped: fields that we do not know, however often they come,
    parts without a name, and text before the first and after the last boundary (RFC 2046, 5.1.1).

    Raises (all methods):
        InvalidParameter: the form is broken, or a field is missing, empty, repeated or no text.
        PayloadTooLarge: the video is over its limit, or the texts are over 64 KiB.
    """

    def __init__(self, content_type: str, *, max_video_bytes: int) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise InvalidParameter(NO_FORM)
        self.video_bytes = 0
        self.unsaved = bytearray()
        self._max_video_bytes = max_video_bytes
        self._texts: dict[str, str] = {}
        self._text_bytes = 0
        self._seen: set[str] = set()
        self._parts = 0
        self._first_boundary = re.compile(rb"\r\n--" + re.escape(boundary) + rb"(?=[ \t\r]|--)")
        self._boundary_bytes = len(boundary) + len(b"\r\n----")
        # As if a line had ended before the body: the first boundary may stand at its very beginning.
        self._preamble = b"\r\n"
        self._begun = False
        self._ended = False
        self._begin_part()
        try:
            self._parser = MultipartParser(boundary, self._callbacks())
        except FormParserError as exc:
            raise InvalidParameter(NO_FORM) from exc

    @property
    def title(self) -> str:
        """The title as sent; the video service checks it."""
        return self._texts.get("title", "")

    @property
    def token(self) -> str:
        """The token, empty where none has come yet."""
        return self._texts.get("token", "")

    def feed(self, chunk: bytes) -> None:
        """Parse the next piece of the body."""
        if not self._begun:
            chunk = self._skip_preamble(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError as exc:
            raise InvalidParameter(BROKEN_FORM, detail=str(exc)) from exc

    def take_unsaved(self) -> bytearray:
        """Return the bytes of the video that came since the last time."""
        taken, self.unsaved = self.unsaved, bytearray()
        return taken

    def finish(self) -> None:
        """Check that the body was a whole form with all that we need."""
        if not self._ended:
            raise InvalidParameter(BROKEN_FORM)
        for name, present in (("title", self.title), (VIDEO_FIELD, self.video_bytes)):
            if not present:
                raise InvalidParameter(MISSING_FIELD.format(name))

    def _skip_preamble(self, chunk: bytes) -> bytes:
        """Return what is left of the chunk from the first boundary on."""
        seen = self._preamble + chunk
        found = self._first_boundary.search(seen)
        if found is None:
            self._preamble = seen[-self._boundary_bytes :]
            return b""
        self._begun = True
        return seen[found.start() + len(b"\r\n") :]

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_header_name,
            "on_header_value": self._add_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add_data,
            "on_part_end": self._end_part,
            "on_end": self._end_form,
        }

    def _begin_part(self) -> None:
        self._field = ""
        self._text = bytearray()
        self._header_name = bytearray()
        self._header_value = bytearray()

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            _, options = parse_options_header(self._header_value.decode("latin-1"))
            self._field = options.get(b"name", b"").decode("latin-1")
        self._header_name.clear()
        self._header_value.clear()

    def _end_headers(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InvalidParameter(BROKEN_FORM)
        if self._field in self._seen:
            raise InvalidParameter(REPEATED_FIELD.format(self._field))
        if self._field in KNOWN_FIELDS:
            # Twice would be ambiguous.
            self._seen.add(self._field)

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._field == VIDEO_FIELD:
            self.video_bytes += end - start
            if self.video_bytes > self._max_video_bytes:
                raise PayloadTooLarge
            self.unsaved += memoryview(data)[start:end]
        elif self._field in TEXT_FIELDS:
            self._text_bytes += end - start
            if self._text_bytes > MAX_TEXT_BYTES:
                raise PayloadTooLarge
            self._text += data[start:end]

    def _end_part(self) -> None:
        if self._field in TEXT_FIELDS:
            try:
                self._texts[self._field] = self._text.decode("utf-8")
            except UnicodeDecodeError as exc:
                raise InvalidParameter(f"参数 {self._field} 不正确,请检查后重试") from exc

    def _end_form(self) -> None:
        self._ended = True
