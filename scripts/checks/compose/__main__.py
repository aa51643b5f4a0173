"""Prints every problem of docker-compose.yml, alone and with TLS between its containers; the exit status is 1 where there is one."""

import sys

from scripts.checks.compose import metrics, rules, settings
from scripts.checks.compose.project import TLS_FILE, read_project, with_tls
from scripts.checks.sources import report


def main() -> int:
    """Look at everything."""
    project = read_project()
    encrypted = with_tls(project, (project.root / TLS_FILE).read_text())
    problems = [
        *(
            problem
            for check in (rules, settings, metrics)
            for problem in check.find_problems(project)
        ),
        *(f"with TLS: {problem}" for problem in rules.find_problems(encrypted)),
        *(f"with TLS: {problem}" for problem in settings.find_problems(encrypted)),
    ]
    return report(list(dict.fromkeys(problems)))


if __name__ == "__main__":
    sys.exit(main())
