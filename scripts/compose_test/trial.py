"""What happens inside the inner machine: images, everything up, what it costs at rest, the tests, everything down."""

import os
import subprocess
import sys

from scripts.compose_test.engine import Engine, running_engine
from scripts.compose_test.measurement import list_images, measure_at_rest
from scripts.compose_test.place import TESTED_PROJECT, Place
from scripts.compose_test.project import Project, copy_as_cloned, make_images
from scripts.compose_test.report import render
from scripts.compose_test.steps import Steps
from scripts.stack.report import StackError
from scripts.stack.site import REPOSITORY

# In the order in which they are played: what hurts the project comes after what only uses it.
TESTS = ("main_job", "closed_ports", "confinement", "scaling", "kills", "kept_data")
_SETTINGS_S = 120
_TESTS_S = 3600


def run_trial(place: Place) -> str:
    """Play everything once and return what was measured, as Markdown.

    Raises:
        StackError: something of it failed.
    """
    steps = Steps(place.logs)
    with running_engine(place, steps) as engine:
        project = prepare(engine, steps)
        steps.run_quietly("up until healthy", project.up)
        containers = measure_at_rest(project)
        # Kept even where a test fails.
        measured = render(steps.seconds, list_images(project), containers)
        place.measured.write_text(measured, encoding="utf-8")
        _run_tests(project, steps)
        steps.run_quietly("down with all volumes", lambda: project.down("--volumes"))
        return render(steps.seconds, list_images(project), containers)


def run_shell(place: Place) -> None:
    """Run a shell beside an engine that has all images; it ends with the shell."""
    steps = Steps(place.logs)
    with running_engine(place, steps) as engine:
        project = prepare(engine, steps)
        print(
            f"\ndocker and {place.compose.name} find the engine; the project is in {project.folder}"
        )
        tools = f"{place.compose.parent}:{engine.environment['PATH']}"
        environment = os.environ | engine.environment | {"PATH": tools}
        subprocess.run(["bash", "--norc"], cwd=project.folder, env=environment, check=False)


def prepare(engine: Engine, steps: Steps) -> Project:
    """Return the project as a fresh clone has it, with its settings and keys made and all images there."""
    folder = engine.place.clone
    copy_as_cloned(folder)
    # The clone's own set-up would make an environment of its own, which is here already.
    (folder / ".venv").symlink_to(REPOSITORY / ".venv")
    steps.run(
        "settings and keys", ["scripts/setup", "--compose"], cwd=folder, timeout_s=_SETTINGS_S
    )
    project = Project(engine, folder)
    make_images(project, steps)
    return project


def _run_tests(project: Project, steps: Steps) -> None:
    files = [f"tests/compose/test_{name}.py" for name in TESTS]
    environment = os.environ | project.engine.environment | {TESTED_PROJECT: str(project.folder)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "--timeout=600",
        "-p",
        "no:cacheprovider",
        *files,
    ]
    print(flush=True)
    with steps.step("tests"):
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, timeout=_TESTS_S, check=False
        )
    if done.returncode != 0:
        raise StackError("the tests failed", log_tail=project.describe())
