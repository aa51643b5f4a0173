"""What the project costs: sizes of its images, memory and processes of its containers while nobody asks anything."""

import json
import time

from scripts.compose_test.project import Project
from scripts.compose_test.report import ContainerAtRest, Image

# Start-up is over and caches have settled.
REST_S = 30
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def list_images(project: Project) -> list[Image]:
    """Return every image that the project names, largest last."""
    own = {name for name, _ in project.list_builds()}
    names = {service["image"] for service in project.services.values()} | own
    images = [
        Image(name, int(project.engine.inspect(name)["Size"]), is_stand_in=name not in own)
        for name in names
    ]
    return sorted(images, key=lambda image: (image.is_stand_in, image.size))


def measure_at_rest(project: Project) -> list[ContainerAtRest]:
    """Return what each running container uses after a while of rest."""
    time.sleep(REST_S)
    told = project.engine.ask("stats", "--no-stream", "--format", "{{json .}}")
    rows = [json.loads(line) for line in told.splitlines()]
    found = []
    for row in rows:
        memory, limit = (_to_bytes(part) for part in row["MemUsage"].split(" / "))
        found.append(ContainerAtRest(row["Name"], memory, limit, int(row["PIDs"])))
    return sorted(found, key=lambda item: item.name)


def _to_bytes(text: str) -> int:
    unit = max((unit for unit in _UNITS if text.endswith(unit)), key=len)
    return round(float(text.removesuffix(unit)) * _UNITS[unit])
