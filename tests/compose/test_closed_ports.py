"""Nothing but nginx is reached from outside of the project's networks, and no server reaches out."""

import json
from pathlib import Path

from scripts.compose_test.project import Project
from scripts.compose_test.stand_ins import BASE

# As /proc/net/tcp writes them; addresses begin with their last byte.
LISTEN = "0A"
SELF_V6 = "00000000000000000000000001000000"
# Tries every address with its port, and prints those that take the connection.
KNOCK = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def is_open(door):
    try:
        socket.create_connection(door, timeout=3).close()
    except OSError:
        return False
    return True

doors = [tuple(door) for door in json.loads(sys.argv[1])]
with ThreadPoolExecutor(32) as pool:
    for door, opened in zip(doors, pool.map(is_open, doors)):
        if opened:
            print(*door)
"""


def list_listening(pid: int) -> set[int]:
    """Return the TCP ports on which somebody in a process's network listens for others than itself."""
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, _, port = local.partition(":")
            if state == LISTEN and not address.endswith("7F") and address != SELF_V6:
                ports.add(int(port, 16))
    return ports


def list_doors(project: Project) -> list[tuple[str, int]]:
    """Return every address and port on which a container listens."""
    doors = []
    for container in project.list_running():
        state = project.engine.inspect(container)
        networks = state["NetworkSettings"]["Networks"].values()
        addresses = [network["IPAddress"] for network in networks if network["IPAddress"]]
        ports = list_listening(state["State"]["Pid"])
        doors += [(address, port) for address in addresses for port in sorted(ports)]
    return doors


def knock(project: Project, network: str, doors: list[tuple[str, int]]) -> list[str]:
    """Return the doors that open to a stranger in a network."""
    told = project.engine.ask(
        *("run", "--rm", "--network", network, BASE, "python", "-c", KNOCK, json.dumps(doors)),
        timeout_s=120,
    )
    return told.splitlines()


def test_only_nginx_publishes_ports(project: Project) -> None:
    published = {
        (project.service_of(container), port["HostPort"])
        for container in project.list_running()
        for ports in project.engine.inspect(container)["NetworkSettings"]["Ports"].values()
        for port in ports or ()
    }

    assert published == {
        ("nginx", str(project.published_port(scheme))) for scheme in ("http", "https")
    }


def test_the_machine_listens_on_the_ports_of_nginx_alone(project: Project) -> None:
    assert list_listening(1) == {project.published_port(scheme) for scheme in ("http", "https")}


def test_a_stranger_in_another_network_reaches_no_container(project: Project) -> None:
    doors = list_doors(project)

    assert len(doors) > 15
    assert knock(project, "bridge", doors) == []


def test_a_neighbour_would_be_let_in_so_that_the_knocking_proves_something(
    project: Project,
) -> None:
    doors = list_doors(project)

    assert knock(project, f"{project.name}_data", doors) != []


def test_only_the_network_of_nginx_leads_out(project: Project) -> None:
    names = project.engine.ask(
        "network", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={project.name}"
    ).split()
    networks = [project.engine.inspect(name) for name in names]
    leading_out = [network for network in networks if not network["Internal"]]

    assert len(networks) > len(leading_out) == 1
    assert {project.service_of(container) for container in leading_out[0]["Containers"]} == {
        "nginx"
    }
