"""Refuses SQL that only one of MySQL 8.4 and MariaDB 10.11 knows, or that neither serves from an index, in every statement that
SQLAlchemy sends during a test.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import event
from sqlalchemy.engine import Engine


class Rule(NamedTuple):
    """What is refused, why, and a statement that it must refuse."""

    pattern: str
    reason: str
    example: str


ONLY_MARIADB = "only MariaDB knows it"
ONLY_MYSQL = "only MySQL knows it"

# Patterns see the statement without its texts and comments, in one line.
RULES = (
    Rule(r"\bRETURNING\b", ONLY_MARIADB, "INSERT INTO t VALUES (1) RETURNING id"),
    Rule(
        r"\b(CREATE|DROP|ALTER)( OR REPLACE)? SEQUENCE\b|\bNEXT VALUE FOR\b|\b(NEXT|LAST|SET)VAL ?\(",
        ONLY_MARIADB,
        "SELECT NEXTVAL(s)",
    ),
    Rule(
        r"\bMASTER_\w+|\bCHANGE MASTER\b|\b(START|STOP|RESET) (ALL )?SLAVES?\b|\bSHOW (SLAVE|MASTER|BINLOG) STATUS\b",
        "MySQL 8.4 has removed it",
        "SELECT MASTER_GTID_WAIT('0-1-1', 1)",
    ),
    Rule(
        r"\bON DUPLICATE KEY UPDATE\b.*\bVALUES? ?\(",
        "MySQL deprecates it and warns at every statement: name a column of the SELECT",
        "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = VALUES(a)",
    ),
    Rule(
        r"\bVALUES ?\(.*\) ?AS \w+( ?\([^)]*\))? ON DUPLICATE KEY",
        ONLY_MYSQL,
        "INSERT INTO t (a) VALUES (1) AS new ON DUPLICATE KEY UPDATE a = new.a",
    ),
    Rule(r"\bVALUES ROW ?\(", ONLY_MYSQL, "SELECT * FROM (VALUES ROW(1), ROW(2)) AS v"),
    Rule(r"\butf8mb4_0900_\w+", ONLY_MYSQL, "CREATE TABLE t (a TEXT) COLLATE utf8mb4_0900_ai_ci"),
    Rule(r"\buca1400_\w+", ONLY_MARIADB, "CREATE TABLE t (a TEXT) COLLATE uca1400_ai_ci"),
    Rule(
        r"\bSKIP LOCKED\b",
        "servers that speak MySQL may drop it silently: compare and set",
        "SELECT id FROM t FOR UPDATE SKIP LOCKED",
    ),
    Rule(r"\bFOR UPDATE (OF|WAIT)\b", "not both know it", "SELECT id FROM t FOR UPDATE WAIT 1"),
    Rule(r"\bFOR SHARE\b", ONLY_MYSQL, "SELECT id FROM t FOR SHARE"),
    Rule(r"->>?", ONLY_MYSQL, "SELECT a->'$.b' FROM t"),
    Rule(r"\bLATERAL\b", ONLY_MYSQL, "SELECT * FROM t, LATERAL (SELECT t.a) AS l"),
    Rule(
        r"\b(ANY_VALUE|REGEXP_LIKE|JSON_PRETTY|JSON_OVERLAPS|JSON_SCHEMA_VALID|BIN_TO_UUID|UUID_TO_BIN|IS_UUID|GTID_SUBSET"
        r"|WAIT_FOR_EXECUTED_GTID_SET) ?\(|\bMEMBER OF\b|\bAS JSON\b",
        "MySQL alone, or MariaDB after 10.6",
        "SELECT CAST('1' AS JSON)",
    ),
    Rule(
        r"\b(JSON_(COMPACT|DETAILED|LOOSE|EQUALS|NORMALIZE|QUERY|EXISTS)|MEDIAN|PERCENTILE_CONT|TO_CHAR|COLUMN_\w+) ?\(",
        ONLY_MARIADB,
        "SELECT JSON_DETAILED('{}')",
    ),
    Rule(
        r"\b(ADD|DROP|MODIFY|CHANGE)( COLUMN| INDEX| KEY| CONSTRAINT)? IF (NOT )?EXISTS\b|\bCREATE( UNIQUE)? INDEX IF NOT EXISTS\b"
        r"|\bDROP INDEX IF EXISTS\b",
        ONLY_MARIADB,
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS a INT",
    ),
    Rule(
        r"\bCREATE OR REPLACE (TEMPORARY )?TABLE\b",
        ONLY_MARIADB,
        "CREATE OR REPLACE TABLE t (a INT)",
    ),
    Rule(
        r"\bSET STATEMENT\b|\bROWS EXAMINED\b|\bEXECUTE IMMEDIATE\b|\bNOT ATOMIC\b",
        ONLY_MARIADB,
        "SET STATEMENT max_statement_time = 1 FOR SELECT 1",
    ),
    Rule(
        r"\bSYSTEM VERSIONING\b|\bFOR SYSTEM_TIME\b|\b(INET4|INET6|UUID|VECTOR)\b(?! ?\()",
        ONLY_MARIADB,
        "CREATE TABLE t (a INET6)",
    ),
    Rule(
        r"\bIN?VISIBLE\b|\b(NOT )?IGNORED\b",
        "not both know it",
        "ALTER TABLE t ALTER INDEX i INVISIBLE",
    ),
    Rule(
        r"\bSET PERSIST\b|@@PERSIST\b|\bREPLICATION SOURCE\b|\bSOURCE_\w+ ?=",
        ONLY_MYSQL,
        "SET PERSIST read_only = ON",
    ),
    Rule(r"\bEXPLAIN ANALYZE\b|\bFORMAT ?= ?TREE\b", ONLY_MYSQL, "EXPLAIN ANALYZE SELECT 1"),
    Rule(r"\b(KEY|INDEX)\b[^(]*\( ?\(", ONLY_MYSQL, "CREATE TABLE t (a INT, KEY k ((a + 1)))"),
    Rule(
        r"\bIS (NOT )?(TRUE|FALSE)\b",
        "no index serves it on either: compare (`column == true()`)",
        "SELECT a FROM t WHERE b IS true",
    ),
    Rule(r"/\*M?!", "each server runs another part of it", "SELECT 1 /*!80000 + 1 */"),
)

_TEXTS = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`[^`]*`", re.DOTALL)
_COMMENTS = re.compile(r"/\*(?![M!]).*?\*/|--\s[^\n]*|#[^\n]*", re.DOTALL)

# Alembic writes its own table as the server that it finds there likes it.
_OF_ALEMBIC = re.compile(r"^(INSERT INTO|UPDATE|DELETE FROM) alembic_version\b")


def find_violations(statement: str) -> list[str]:
    """Return what makes a statement one that not both servers run alike; nothing where they do."""
    if _OF_ALEMBIC.search(statement):
        return []
    bare = re.sub(r"\s+", " ", _COMMENTS.sub(" ", _TEXTS.sub("''", statement)))
    matches = ((re.search(rule.pattern, bare, re.IGNORECASE), rule) for rule in RULES)
    return [f"{found[0]!r}: {rule.reason}, in {bare}" for found, rule in matches if found]


@contextmanager
def checked_statements() -> Iterator[list[str]]:
    """Collect what is wrong with the statements that this process sends by SQLAlchemy meanwhile."""
    violations: list[str] = []

    def check(*arguments: Any) -> None:
        violations.extend(find_violations(arguments[2]))

    event.listen(Engine, "before_cursor_execute", check)
    try:
        yield violations
    finally:
        event.remove(Engine, "before_cursor_execute", check)
