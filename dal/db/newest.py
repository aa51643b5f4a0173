"""The newest rows of several owners: one statement for all who have few, one for each who has many.

An owner with many rows would make everybody else wait who shares the statement, and no statement that MySQL and MariaDB both know reads a
bounded number of rows for each of many owners. The owner's counter says beforehand who has how many.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from dal.db.id_lists import encode_ids

# More than that are many.
FEW = 60

R = TypeVar("R")


async def map_newest(
    connection: AsyncConnection,
    few_rows: TextClause,
    owner_ids: Collection[int],
    *,
    make_row: Callable[..., R],
    list_many: Callable[[int], Awaitable[list[R]]],
) -> dict[int, list[R]]:
    """Return the newest rows of some owners, newest first, by owner; an owner who is not there is left out.

    Args:
        few_rows: gives an owner's id, their counter, what the rows are ordered by, and then a row; of an owner with more than `:few`, or with
            none, one row of NULLs.
        list_many: reads the newest rows of one owner.
    """
    values = {"ids": encode_ids(owner_ids), "few": FEW}
    ordered: dict[int, list[tuple[int, R]]] = {}
    many = []
    for owner_id, count, place, *row in await connection.execute(few_rows, values):
        of_owner = ordered.setdefault(owner_id, [])
        if place is not None:
            of_owner.append((place, make_row(*row)))
        elif count > FEW:
            many.append(owner_id)
    found = {owner_id: _newest_first(of_owner) for owner_id, of_owner in ordered.items()}
    for owner_id in many:
        found[owner_id] = await list_many(owner_id)
    return found


def _newest_first(ordered: list[tuple[int, Any]]) -> list[Any]:
    ordered.sort(reverse=True)
    return [row for _place, row in ordered]
