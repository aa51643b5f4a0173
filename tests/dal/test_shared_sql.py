"""The check that every statement of a test passes: it refuses what only one of the servers knows."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.shared_sql import RULES, checked_statements, find_violations


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.example)
def test_each_rule_refuses_its_example(rule):
    assert any(rule.reason in violation for violation in find_violations(rule.example))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 'RETURNING', \"it's SKIP LOCKED\", `SEQUENCE` FROM t -- VALUES ROW(1)",
        "INSERT INTO t (a, b) VALUES (1, 2) ON DUPLICATE KEY UPDATE a = 1",
        "INSERT INTO t (a) SELECT i.a FROM (SELECT 1 AS a) AS i ON DUPLICATE KEY UPDATE a = i.a",
        "SELECT COUNT(*) FROM (SELECT id FROM t) AS counted WHERE (a + (b)) > 1 FOR UPDATE NOWAIT",
        "SHOW REPLICA STATUS",
    ],
)
def test_what_both_servers_know_is_let_through(statement):
    assert find_violations(statement) == []


@pytest.mark.one_server
async def test_a_statement_that_is_sent_is_looked_at(database):
    with checked_statements() as violations:
        async with database.read_source() as connection:
            await connection.execute(text("SELECT 1"))
            assert violations == []
            with pytest.raises(DBAPIError):
                await connection.execute(text("SELECT NEXTVAL(no_sequence)"))

    assert [violation.split(":")[0] for violation in violations] == ["'NEXTVAL('"]
