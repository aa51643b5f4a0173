"""The disk of this machine, where the data lies on it."""

import os
import shutil
from collections.abc import Sequence

from scripts.operator.doctor.finding import Finding, NotHere
from scripts.operator.doctor.target import Target

LEAST_FREE_MIB = 1024
LEAST_FREE_INODES = 10_000


async def look_at_disk(target: Target) -> Sequence[Finding]:
    """There is room for data and for files."""
    folder = target.place.data_dir
    if folder is None:
        raise NotHere("the disks are those of other machines")
    command = f"du -xh --max-depth=2 {folder} | sort -h | tail"
    free_mib = shutil.disk_usage(folder).free // 1024**2
    if free_mib < LEAST_FREE_MIB:
        evidence = f"{free_mib} MiB are left under {folder}, {LEAST_FREE_MIB} are needed"
        return [Finding("disk", "is nearly full", evidence, command)]
    inodes = os.statvfs(folder)
    # Some file systems have no limit and say 0 of both.
    if inodes.f_files and inodes.f_favail < LEAST_FREE_INODES:
        evidence = f"{inodes.f_favail} of {inodes.f_files} inodes are left under {folder}"
        return [Finding("disk", "can hold no more files", evidence, command)]
    return []
