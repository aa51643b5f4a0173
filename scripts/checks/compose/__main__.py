"""Prints every problem of docker-compose.yml, alone and with each file that goes on top of it; the exit status is 1 where there is one."""

import sys

from scripts.checks.compose import logs, metrics, rules, settings
from scripts.checks.compose.project import LOGS_FILE, TLS_FILE, read_project, with_overlay
from scripts.checks.sources import report

BASE_CHECKS = (rules, settings, metrics)
OVERLAYS = {TLS_FILE: (rules, settings), LOGS_FILE: (rules, settings, logs)}


def main() -> int:
    """Look at everything."""
    project = read_project()
    problems = [problem for check in BASE_CHECKS for problem in check.find_problems(project)]
    for name, checks in OVERLAYS.items():
        merged = with_overlay(project, name, (project.root / name).read_text())
        found = (problem for check in checks for problem in check.find_problems(merged))
        # What is wrong without the file is told once.
        problems += [f"with {name}: {problem}" for problem in found if problem not in problems]
    return report(list(dict.fromkeys(problems)))


if __name__ == "__main__":
    sys.exit(main())
