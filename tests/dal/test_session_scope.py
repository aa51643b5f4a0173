"""No database session is held while another network system is awaited: its work must not use up the pool of all others."""

import ast
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
OPENERS = frozenset({"read", "read_source", "write", "connect", "begin"})


def test_what_is_awaited_inside_a_session_is_the_session() -> None:
    strangers = [
        f"{path.relative_to(REPOSITORY)}:{awaited.lineno}: {ast.unparse(awaited)}"
        for path in list_sources()
        for session, block in find_sessions(ast.parse(path.read_text()))
        for awaited in find_awaits(block)
        if not any(uses(awaited, name) for name in (session, *find_results(block, session)))
    ]

    assert strangers == []


def test_the_look_finds_sessions_and_strangers() -> None:
    tree = ast.parse(
        "async def f():\n"
        "    async with self._database.write() as connection:\n"
        "        await insert(connection, 1)\n"
        "        await storage.put()\n"
    )

    [(session, block)] = find_sessions(tree)

    assert [uses(awaited, session) for awaited in find_awaits(block)] == [True, False]
    assert len(list(list_sources())) > 50


def list_sources() -> Iterator[Path]:
    for folder in ("dal", "services"):
        yield from (REPOSITORY / folder).rglob("*.py")


def find_sessions(tree: ast.AST) -> Iterator[tuple[str, list[ast.stmt]]]:
    """Yield the name of each session and the block in which it is open."""
    for node in ast.walk(tree):
        for item in node.items if isinstance(node, ast.AsyncWith) else ():
            call, name = item.context_expr, item.optional_vars
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr in OPENERS
                and isinstance(name, ast.Name)
            ):
                yield name.id, node.body  # type: ignore[attr-defined]


def find_results(block: list[ast.stmt], session: str) -> Iterator[str]:
    """Yield the names of what the session gave: a result that is read bit by bit is the session too."""
    for statement in block:
        for node in ast.walk(statement):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Await() as awaited):
                    if uses(awaited, session):
                        yield name


def find_awaits(block: list[ast.stmt]) -> Iterator[ast.Await]:
    for statement in block:
        yield from (node for node in ast.walk(statement) if isinstance(node, ast.Await))


def uses(awaited: ast.Await, session: str) -> bool:
    """Return whether the awaited call gets the session, or is one of its own."""
    call = awaited.value
    if not isinstance(call, ast.Call):
        return False
    parts: list[ast.expr] = [call.func, *call.args, *(keyword.value for keyword in call.keywords)]
    return any(isinstance(n, ast.Name) and n.id == session for p in parts for n in ast.walk(p))
