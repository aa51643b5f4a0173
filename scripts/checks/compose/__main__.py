"""Prints every problem of docker-compose.yml; the exit status is 1 where there is one."""

import sys

from scripts.checks.compose import rules, settings
from scripts.checks.compose.project import read_project
from scripts.checks.sources import report


def main() -> int:
    """Look at everything."""
    project = read_project()
    return report([*rules.find_problems(project), *settings.find_problems(project)])


if __name__ == "__main__":
    sys.exit(main())
