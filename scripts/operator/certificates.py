"""`scripts/certificates`: an authority and certificates of every process and server, for trying TLS."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.stack.authority import DEFAULT_DAYS, SERVERS, Authority, list_subjects


def main(arguments: Sequence[str]) -> int:
    """Make the certificates and say what is where; return the exit status."""
    options = _parse(arguments)
    more_hosts: dict[str, list[str]] = {}
    for server, hosts in options.host:
        more_hosts.setdefault(server, []).extend(hosts)
    authority = Authority(options.out)
    try:
        authority.ensure()
        for subject in list_subjects(more_hosts):
            pair = authority.issue(subject, days=options.days)
            print(f"  {pair.certificate}  {', '.join(subject.hosts)}")
    except (OSError, TypeError, ValueError) as exc:
        print(f"certificates cannot be made: {exc}", file=sys.stderr)
        return 1
    print(f"authority: {authority.certificate_file}; they end in {options.days} days")
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/certificates",
        description="Make an authority, where there is none, and new certificates of everybody, for trying TLS.",
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder for them")
    parser.add_argument(
        "--days",
        type=_positive,
        default=DEFAULT_DAYS,
        help=f"how long they are good (default {DEFAULT_DAYS})",
    )
    parser.add_argument(
        "--host",
        type=_server_and_hosts,
        action="append",
        default=[],
        metavar="SERVER=NAME[,NAME]",
        help=f"further names or addresses of a server, one of {', '.join(SERVERS)}; may be repeated",
    )
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    days = int(text)
    if days < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return days


def _server_and_hosts(text: str) -> tuple[str, list[str]]:
    server, _, hosts = text.partition("=")
    if server not in SERVERS or not hosts:
        raise argparse.ArgumentTypeError(f"{text!r} is not SERVER=NAME[,NAME]")
    return server, hosts.split(",")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
