"""The table of what scripts/doctor looks at, made from its list."""

from scripts.operator.doctor.checks import list_checks
from scripts.reference.tables import render_table


def render_check_table() -> str:
    """Return all checks in Markdown: name, what has to be so, what it stands on."""
    rows = [
        (check.name, check.looks_at, ", ".join(check.needs))
        for check in list_checks(finds_services_by_etcd=False)
    ]
    return render_table(("Check", "What has to be so", "Not looked at without"), rows)
