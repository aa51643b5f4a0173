"""The supervisor of the local stack, and what it says of every process."""

import asyncio
from collections.abc import Sequence

from scripts.operator.doctor.answers import describe, in_thread
from scripts.operator.doctor.finding import Away, Finding
from scripts.operator.doctor.target import Target

RUNNING = "running"


async def look_at_processes(target: Target) -> Sequence[Finding]:
    """Every process runs, and nobody else has the port of one that does not."""
    place = target.place
    try:
        async with asyncio.timeout(target.answer_s):
            statuses = await in_thread(place.list_processes)
    except (TimeoutError, OSError) as exc:
        evidence = f"its socket: {describe(exc)}"
        return [Finding("supervisord", "does not answer", evidence, "scripts/status")]
    idle = [status for status in statuses if status.state != RUNNING]
    if len(idle) == len(statuses):
        raise Away(
            [Finding("the local stack", "does not run", "no supervisord", place.start_command)]
        )
    findings = []
    for status in idle:
        stranger = place.describe_stranger(status.address) if status.pid is None else ""
        evidence = f"the supervisor says: {status.state}"
        if stranger:
            evidence += f"; its port is taken by {stranger}"
        asleep = status.state == "stopped"
        command = place.start_command if asleep else place.look_into(status.name, status.address)
        findings.append(Finding(status.name, "does not run", evidence, command))
    return findings
