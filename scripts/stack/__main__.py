"""The commands behind scripts/up, restart, down, status, logs, seed and migrate."""

import argparse
import json
import os
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pkg.log import quiet_drivers
from scripts.population.amounts import PARTS, PASSWORD, Amounts
from scripts.samples import SAMPLE_USERS
from scripts.stack.inventory import count_workers
from scripts.stack.ports import parse_base
from scripts.stack.report import StackError, say_nothing
from scripts.stack.seed import is_seeded, seed, seed_population
from scripts.stack.servers import zipkin
from scripts.stack.site import REPOSITORY
from scripts.stack.stack import ProcessStatus, Stack

_DONE, _FAILED, _NOT_ALL_RUNNING = 0, 1, 3


def main(arguments: Sequence[str]) -> int:
    """Run one command; return the exit code."""
    # A broker that is still starting refuses connections; that is what probing is for.
    quiet_drivers()
    options = _parse(arguments)
    try:
        code: int = options.run(options)
        # A pipe is written to late: whether its reader has gone shows here.
        sys.stdout.flush()
    except StackError as exc:
        print(f"\n{exc}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("\ninterrupted; scripts/up goes on, scripts/down stops everything", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    return code


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> ArgumentParser:
        command = commands.add_parser(name, prog=f"scripts/{name}", help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument(
            "--run-dir",
            type=Path,
            default=REPOSITORY / ".run",
            help="the stack's folder (default .run); relative to the repository",
        )
        return command

    _add_up_options(add("up", _up, "Bring the whole system up; safe to run again."))
    restart = add("restart", _restart, "Start the product anew, one process at a time.")
    restart.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="a service, gateway or nginx (default all); user is every instance, user-2 one",
    )
    add("down", _down, "Stop everything in reverse order; nothing is left running.")
    status = add("status", _status, "Show every process with its pid, state, address and log.")
    status.add_argument("--json", action="store_true", help="for programs")
    logs = add("logs", _logs, "Show the end of the log of one process.")
    logs.add_argument("name", nargs="?", help="a name of scripts/status, or supervisord")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as lines come")
    logs.add_argument("-n", "--lines", type=int, default=100, help="how many (default 100)")
    _add_seed_options(add("seed", _seed, "Put the sample users and videos in, or a population."))
    add("migrate", _migrate, "Bring the database to the newest schema.")
    return parser.parse_args(arguments)


def _add_up_options(up: ArgumentParser) -> None:
    up.add_argument("--only", choices=["servers"], help="bring up the outside servers alone")
    up.add_argument("--restart", action="store_true", help="start services anew, for changed code")
    up.add_argument(
        "--workers",
        metavar="N",
        help="how many gateways and instances of each service (default: as before, at first 1)",
    )
    up.add_argument(
        "--tls",
        action=argparse.BooleanOptionalAction,
        help="encrypt every connection, with certificates made here (default: as before, at first not)",
    )
    up.add_argument(
        "--replicas",
        type=int,
        choices=(0, 1, 2),
        default=0,
        help="how many replicas of MySQL (default: as before, at first 0); those that are there stay",
    )
    up.add_argument(
        "--observe",
        action=argparse.BooleanOptionalAction,
        help="whether Prometheus watches the stack and Zipkin keeps its traces (default: as before, at first not)",
    )
    up.add_argument("--no-seed", action="store_true", help="no sample users and videos")


def _add_seed_options(seeding: ArgumentParser) -> None:
    seeding.epilog = (
        "Without numbers: the samples, where they are missing. With numbers: made-up people beside them, the same ones for"
        f" the same --seed; all of them log in with the password {PASSWORD}."
    )
    group = seeding.add_argument_group("a population")
    for part in PARTS:
        group.add_argument(f"--{part}", type=int, default=0, metavar="N", help=f"how many {part}")
    group.add_argument("--seed", type=int, default=1, metavar="S", help="which one (default 1)")
    burst = "publish the newest K videos in consecutive milliseconds"
    group.add_argument("--burst", type=int, default=0, metavar="K", help=burst)


def _up(options: argparse.Namespace) -> int:
    base = os.environ.get("DOUSHENG_PORT_BASE")
    stack = Stack(
        options.run_dir,
        parse_base(base) if base else None,
        workers=None if options.workers is None else count_workers(options.workers),
        tls=options.tls,
        overrides=_read_overrides(os.environ),
        mysql_replicas=options.replicas,
        observe=options.observe,
        # Without Zipkin there is still Prometheus.
        traces=options.observe and zipkin.is_installed(REPOSITORY),
        report=print,
    )
    print(f"bringing dousheng up in {stack.site.run_dir}")
    stack.up(options.only or (), restart=options.restart)
    if options.only:
        return _DONE
    if not options.no_seed:
        seed(stack.site, report=print)
    _print_addresses(stack)
    return _DONE


def _read_overrides(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that the caller gives; they win over the generated ones."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("DOUSHENG_") and "__" in name
    }


def _restart(options: argparse.Namespace) -> int:
    overrides = _read_overrides(os.environ)
    Stack(options.run_dir, overrides=overrides, report=print).restart(options.names)
    print("everything was started anew" if not options.names else "started anew")
    return _DONE


def _down(options: argparse.Namespace) -> int:
    Stack(options.run_dir, report=print).down()
    print("everything is down")
    return _DONE


def _status(options: argparse.Namespace) -> int:
    statuses = Stack(options.run_dir).status()
    if options.json:
        print(json.dumps([asdict(status) for status in statuses], indent=2))
        return _DONE
    _print_table(statuses)
    all_running = all(status.state == "running" for status in statuses)
    return _DONE if all_running else _NOT_ALL_RUNNING


def _print_table(statuses: Sequence[ProcessStatus]) -> None:
    print(f"{'NAME':<14} {'KIND':<8} {'STATE':<11} {'PID':>8}  {'ADDRESS':<18} LOG")
    for item in statuses:
        pid = item.pid or "-"
        log = os.path.relpath(os.path.realpath(item.log))
        print(f"{item.name:<14} {item.kind:<8} {item.state:<11} {pid:>8}  {item.address:<18} {log}")


def _logs(options: argparse.Namespace) -> int:
    stack = Stack(options.run_dir)
    known = [*(status.name for status in stack.status()), "supervisord"]
    if options.name not in known:
        raise StackError(
            f"there is no process {options.name!r}" if options.name else "whose log?",
            fix=f"scripts/logs NAME, where NAME is one of: {', '.join(known)}",
        )
    path = stack.site.log_file(options.name)
    if not path.exists():
        raise StackError(f"{options.name} has not written a log yet", fix="run scripts/up")
    follow = ["-F"] if options.follow else []
    sys.stdout.flush()
    os.execvp("tail", ["tail", "-n", str(options.lines), *follow, str(path)])  # noqa: S606 - no shell is meant


def _seed(options: argparse.Namespace) -> int:
    stack = Stack(options.run_dir, overrides=_read_overrides(os.environ))
    amounts = Amounts(**{name: getattr(options, name) for name in ("seed", *PARTS, "burst")})
    if amounts == Amounts(seed=amounts.seed):
        seed(stack.site, report=print, again=True)
    else:
        seed_population(stack, amounts)
    return _DONE


def _migrate(options: argparse.Namespace) -> int:
    Stack(options.run_dir, overrides=_read_overrides(os.environ), report=say_nothing).migrate()
    print("the database has the newest schema")
    return _DONE


def _print_addresses(stack: Stack) -> None:
    port = stack.site.ports.of("nginx")
    base = f"http://127.0.0.1:{port}"
    users = ", ".join(f"{user.name} / {user.password}" for user in SAMPLE_USERS)
    rows = {
        "API, this machine": f"{base}/douyin/",
        "API, from a phone in the LAN": f"http://{_find_lan_address()}:{port}/",
        **_https_row(stack),
        "API documentation": f"{base}/docs",
        "gateway, without nginx": f"http://127.0.0.1:{stack.site.ports.of('gateway')}/",
        "services (gRPC)": ", ".join(
            f"{item.name} {item.address.rpartition(':')[2]}"
            for item in stack.status()
            if item.kind == "service" and not item.name.startswith("gateway")
        ),
        **_observer_rows(stack),
        "sample users": users,
        "processes": "scripts/status, scripts/logs NAME, scripts/down",
    }
    print()
    for title, text in rows.items():
        print(f"  {title:<30} {text}")
    print("\ntry:")
    print(f"  curl '{base}/douyin/feed/'")
    print(f"  curl -X POST '{base}/douyin/user/register/?username=me&password=secret'")
    if not is_seeded(stack.site):
        print("\nnothing is in the feed yet; sample users and videos: scripts/seed")
    print(f"\nopen {base}/")


def _https_row(stack: Stack) -> dict[str, str]:
    if not stack.site.has_tls:
        return {}
    address = f"https://127.0.0.1:{stack.site.ports.of('nginx-https')}/douyin/"
    return {"API over HTTPS": f"{address}, believe {stack.site.authority.certificate_file}"}


def _observer_rows(stack: Stack) -> dict[str, str]:
    rows = {}
    if stack.observes:
        base = f"http://127.0.0.1:{stack.site.ports.of('prometheus')}"
        rows["alerts; graphs (Prometheus)"] = f"{base}/alerts; {base}/graph"
    if stack.traces:
        base = f"http://127.0.0.1:{stack.site.ports.of('zipkin')}/zipkin"
        rows["traces; one (Zipkin)"] = f"{base}/; {base}/traces/<X-Trace-Id of a reply>"
    elif stack.observes:
        rows["traces"] = f"not kept; {zipkin.INSTALL}, then scripts/up --observe"
    return rows


def _find_lan_address() -> str:
    """Return this machine's address towards other machines; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
