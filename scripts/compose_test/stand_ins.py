"""Images in the place of those that a registry has, built from Debian's packages under the names that the project asks for."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from scripts.compose_test.engine import Engine
from scripts.compose_test.place import STAND_INS, Place
from scripts.compose_test.steps import Steps
from scripts.stack.report import StackError
from scripts.stack.site import REPOSITORY

BASE = "dousheng-stand-in-base"
# Which folder stands in for which repository of images; the base is the official Python image's place as well.
FOLDERS = {
    "python": None,
    "mysql": "mysql",
    "redis": "redis",
    "rabbitmq": "rabbitmq",
    "nginx": "nginx",
    "quay.io/coreos/etcd": "etcd",
    "chrislusf/seaweedfs": "seaweedfs",
}
_MAKE_S = 1200
_FROM = re.compile(r"^FROM\s+(?:--\S+\s+)*(\S+)", re.MULTILINE | re.IGNORECASE)
_ARG = re.compile(r"^ARG\s+(\w+)=(\S+)", re.MULTILINE | re.IGNORECASE)
_STAGE = re.compile(r"^FROM\s.*\sAS\s+(\S+)", re.MULTILINE | re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def list_bases(dockerfile: Path) -> set[str]:
    """Return the images on which a Dockerfile builds, its own stages left out."""
    text = dockerfile.read_text()
    values, stages = dict(_ARG.findall(text)), set(_STAGE.findall(text))
    named = {
        _VARIABLE.sub(lambda match: values.get(match[1], match[0]), name)
        for name in _FROM.findall(text)
    }
    return named - stages - {"scratch"}


def make_stand_ins(engine: Engine, steps: Steps, place: Place, names: Iterable[str]) -> None:
    """Make a stand-in for each of these images, where there is none yet that was made from the same files.

    Raises:
        StackError: nothing stands in for one of them.
    """
    wanted = {name: find_folder(name) for name in sorted(names)}
    if not engine.has_image(BASE):
        _make_base(engine, steps, place)
    for name, folder in wanted.items():
        if folder is None:
            engine.ask("tag", BASE, name)
        else:
            steps.run(
                f"stand-in for {name}",
                engine.command("build", "--tag", name, _complete(folder, place)),
                environment=engine.environment,
                timeout_s=_MAKE_S,
            )


def find_folder(name: str) -> str | None:
    """Return the folder of what stands in for an image, None where that is the base itself.

    Raises:
        StackError: nothing stands in for it.
    """
    repository = name.partition("@")[0].rpartition(":")[0]
    if repository not in FOLDERS:
        raise StackError(
            f"nothing stands in for the image {name}",
            fix=f"make a folder for it in {STAND_INS} and name it in stand_ins.py",
        )
    return FOLDERS[repository]


def _complete(folder: str, place: Place) -> Path:
    """Return what an image is built from: the folder, and programs that are not in Debian."""
    context = place.home / "stand-ins" / folder
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(STAND_INS / folder, context)
    if folder == "seaweedfs":
        shutil.copy(_find_weed(), context / "weed")
    return context


def _find_weed() -> str:
    program = REPOSITORY / ".venv" / "bin" / "weed"
    if not program.exists():
        raise StackError("SeaweedFS is missing in .venv", fix="run scripts/setup")
    return str(program)


def _make_base(engine: Engine, steps: Steps, place: Place) -> None:
    archive = place.home / "base.tar"
    steps.run(
        "Debian with Python, the base of all",
        [STAND_INS / "make-base", place.home / "base", archive],
        environment=engine.environment,
        timeout_s=_MAKE_S,
    )
    engine.ask("import", "--change=ENV LANG=C.UTF-8", '--change=CMD ["python3"]', archive, BASE)
    archive.unlink()
