"""Any number of ids as one parameter, so that the text of a statement does not depend on how many there are."""

from collections.abc import Iterable

import orjson

# In a FROM clause, with the parameter `ids` from `encode_ids`.
WANTED = "JSON_TABLE(:ids, '$[*]' COLUMNS (id BIGINT UNSIGNED PATH '$')) AS wanted"


def encode_ids(ids: Iterable[int]) -> str:
    """Return the parameter."""
    return orjson.dumps(list(ids)).decode()
