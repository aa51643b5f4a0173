"""Any value survives the syntax of the program that reads it, as that program itself reads it."""

import getpass
import subprocess
import tomllib
from pathlib import Path

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.stack import Stack
from scripts.stack.files import get_command
from scripts.stack.report import StackError
from scripts.stack.syntax import to_launch_script, to_redis, to_shell, to_sql, to_toml

# What other programs' files give a meaning to.
SIGNS = "'\"%$#;,\\`!&|<>(){}[]*?~=: \t\n\r\x0b\x1a\x7f秘密短😀"
TEXTS = st.text(st.sampled_from(SIGNS) | st.characters(codec="utf-8", exclude_characters="\0"))
quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def run_shell(script: str, *arguments: str) -> bytes:
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *arguments], capture_output=True, check=True
    )
    return done.stdout


@quick
@given(value=TEXTS)
def test_a_shell_that_sources_the_settings_has_them_whole(tmp_path: Path, value: str) -> None:
    file = tmp_path / "env"
    file.write_text(to_shell({"DOUSHENG_X__Y": value}), encoding="utf-8", newline="")

    found = run_shell('. "$1"; printf %s "$DOUSHENG_X__Y"', str(file))

    assert found.decode() == value


@quick
@given(argument=TEXTS, value=TEXTS)
def test_a_launched_process_gets_arguments_and_environment_whole(
    tmp_path: Path, argument: str, value: str
) -> None:
    folder = tmp_path / '短 视频\'s "x" 50%;#'
    folder.mkdir(exist_ok=True)
    (folder / "left").touch()
    script = to_launch_script(
        ["/bin/sh", "-c", 'printf "%s\\0%s\\0%s" "$1" "$Y" "$(pwd)"', "sh", argument],
        directory=folder,
        environment={"Y": value},
        remove=["left"],
    )

    found = run_shell(script).decode().split("\0")

    assert found == [argument, value, str(folder)]
    assert not (folder / "left").exists()


def test_a_variable_that_no_shell_knows_is_told() -> None:
    with pytest.raises(StackError, match="DOUSHENG_A-B"):
        to_shell({"DOUSHENG_A-B": "x"})


@given(value=TEXTS)
def test_toml_keeps_every_text(value: str) -> None:
    assert tomllib.loads(to_toml({"a.b": {"key": value}})) == {"a": {"b": {"key": value}}}


@quick
@given(value=st.text(st.sampled_from(SIGNS), min_size=1))
def test_redis_reads_the_password_that_was_written(tmp_path: Path, value: str) -> None:
    file = tmp_path / "redis.conf"
    # Redis names the first line that it cannot read, and ends.
    file.write_text(f"requirepass {to_redis(value)}\nnonsense\n", encoding="utf-8")

    done = subprocess.run(
        [get_command("redis-server"), str(file)], capture_output=True, text=True, check=False
    )

    assert ">>> 'nonsense'" in done.stdout + done.stderr


@quick
@given(value=TEXTS)
def test_mysql_reads_the_text_that_was_written(servers: Stack, value: str) -> None:
    literal = to_sql(value)

    connection = pymysql.connect(unix_socket=str(servers.mysql_socket), user=getpass.getuser())
    with connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {literal}")
        assert cursor.fetchone() == (value,)
    # The file of statements that a server runs at its start has one in each line.
    assert not set(literal) & {"\n", "\r"}
