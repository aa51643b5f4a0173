"""scripts/bench as a person runs it: a stack of its own, wrk, the ceilings, and tables."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from scripts.stack.site import REPOSITORY

SMALL = ("--scale", "0.02", "--seconds", "1", "--rounds", "1")


def bench(*arguments: str) -> str:
    done = subprocess.run(
        [REPOSITORY / "scripts" / "bench", *arguments, *SMALL],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.timeout(3600)
def test_every_work_succeeds_and_is_told_beside_the_ceilings(tmp_path: Path):
    kept = tmp_path / "kept.json"

    told = bench("--connections", "8", "--json", str(kept))
    again = bench("feed", "--connections", "8", "--way", "direct", "--compare", str(kept))

    results = json.loads(kept.read_text())["results"]
    assert {one["work"] for one in results} >= {"feed", "mixed", "publish", "chat-send"}
    assert [one for one in results if one["errors"]] == []
    assert all(one["ratios"].keys() == {"asgi", "fastapi"} for one in results)
    assert "the actor sees a like after" in told
    assert "now : then" in again


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("subject", "told"),
    [
        ("startup", r"first page \d+ ms"),
        ("soak", r"RSS MiB +before"),
        ("growth", r"1,000x +100,000 +\d"),
    ],
)
def test_what_is_measured_by_itself_ends_with_its_figures(subject: str, told: str):
    assert re.search(told, bench(subject))
