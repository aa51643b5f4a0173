"""A private stack of servers for the tests of the scripts themselves."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.private_files import make_private_dir
from scripts.stack import Stack
from tests.stacks import private_stack

ODD_NAME = '短 视频\'s "x" 50% ;#$HOME'
ODD_SECRET = "a'b\"c\\d %e;f#g,$h`i é 密码😀"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers on ports of their own; they end with the tests, however those end.

    Their folder has a name, and they have passwords, that need quoting everywhere.
    """
    folder: Path = tmp_path_factory.mktemp("stack") / ODD_NAME
    run_dir = make_private_dir(folder / "run")
    names = ("mysql", "redis_actions", "redis_cache", "rabbitmq", "s3_secret_key", "s3_parts")
    (run_dir / "secrets.json").write_text(json.dumps(dict.fromkeys(names, ODD_SECRET)))
    with private_stack(run_dir) as stack:
        stack.up("servers")
        yield stack
