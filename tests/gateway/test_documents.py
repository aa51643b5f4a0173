"""What is written down twice must say the same twice."""

import re
from pathlib import Path

from gateway.errors import render_error_table
from pkg import errors

REPOSITORY = Path(__file__).parents[2]
NGINX_PAGE = re.compile(r"return (\d+) '\{\"status_code\":(\d+),\"status_msg\":\"([^\"]+)\"\}'")


def test_the_readme_lists_the_errors_of_the_code():
    """Print the table with: .venv/bin/python -c 'import gateway.errors as e; print(e.render_error_table())'."""
    assert render_error_table() in (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_the_error_pages_of_nginx_are_the_errors_of_the_code():
    template = REPOSITORY / "config" / "nginx" / "errors.conf.template"

    pages = NGINX_PAGE.findall(template.read_text(encoding="utf-8"))

    assert len(pages) >= 7
    for http_status, status_code, message in pages:
        error_class = errors.find_error_class(int(status_code))
        assert error_class is not None
        assert (error_class.http_status, error_class.default_message) == (int(http_status), message)
