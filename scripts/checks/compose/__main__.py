"""Prints every problem of docker-compose.yml; the exit status is 1 where there is one."""

import sys

from scripts.checks.compose import metrics, rules, settings
from scripts.checks.compose.project import read_project
from scripts.checks.sources import report


def main() -> int:
    """Look at everything."""
    project = read_project()
    checks = (rules, settings, metrics)
    return report([problem for check in checks for problem in check.find_problems(project)])


if __name__ == "__main__":
    sys.exit(main())
