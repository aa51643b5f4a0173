"""A table as a file: the names of its columns, then one line of JSON for each row, compressed.

What JSON does not know stands as `[kind, text]`: bytes as base64, times and decimals as MySQL reads them.
"""

import base64
import gzip
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from dal.db.copies import ROWS_PER_BATCH, Row

NAME = "rows"
COMPRESSION = 1  # rows of texts shrink well at once; more costs time alone


def path_of(folder: Path, table: str) -> Path:
    """Return the file of a table."""
    return folder / NAME / f"{table}.jsonl.gz"


async def write_rows(
    path: Path, columns: Sequence[str], batches: AsyncIterator[Sequence[Row]]
) -> int:
    """Write a table; return how many rows it has."""
    count = 0
    with gzip.open(path, "wb", COMPRESSION) as file:
        file.write(orjson.dumps(columns) + b"\n")
        async for batch in batches:
            file.write(b"".join(orjson.dumps([_encode(v) for v in row]) + b"\n" for row in batch))
            count += len(batch)
    return count


def read_rows(path: Path) -> tuple[list[str], Iterator[Sequence[Row]]]:
    """Return the columns of a table's file, and its rows in batches."""
    lines = _read_lines(path)
    return next(lines), _in_batches(lines)


def _read_lines(path: Path) -> Iterator[Any]:
    with gzip.open(path, "rb") as file:
        for line in file:
            yield orjson.loads(line)


def _in_batches(lines: Iterator[list[Any]]) -> Iterator[Sequence[Row]]:
    while batch := [[_decode(value) for value in row] for row in islice(lines, ROWS_PER_BATCH)]:
        yield batch


def _encode(value: object) -> object:
    if isinstance(value, bytes):
        return ["bytes", base64.b64encode(value).decode()]
    if isinstance(value, datetime):
        return ["text", value.isoformat(" ")]
    if isinstance(value, Decimal):
        return ["text", str(value)]
    return value


def _decode(value: object) -> object:
    if not isinstance(value, list):
        return value
    kind, text = value
    return base64.b64decode(text) if kind == "bytes" else text
