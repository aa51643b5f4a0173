"""Which processes a stack has."""

from collections.abc import Iterable, Mapping

from scripts.stack.component import Component
from scripts.stack.ports import MOST_WORKERS, SERVICES
from scripts.stack.report import StackError
from scripts.stack.servers.etcd import Etcd
from scripts.stack.servers.mysql import MySQL
from scripts.stack.servers.nginx import Nginx
from scripts.stack.servers.prometheus import Prometheus
from scripts.stack.servers.rabbitmq import Epmd, RabbitMQ
from scripts.stack.servers.redis import Redis
from scripts.stack.servers.s3 import S3
from scripts.stack.servers.zipkin import OtlpReceiver, Zipkin
from scripts.stack.services import Gateway, ProductProcess, Service
from scripts.stack.site import Site

# What there are several of, in the order in which they are started anew.
PRODUCT = (*SERVICES, "gateway")


def make_servers(site: Site) -> list[Component]:
    """Return the outside servers, in the order in which they start."""
    return [
        Epmd(site),
        *(MySQL(site, number) for number in range(site.mysql_replicas + 1)),
        Redis(site, "actions"),
        Redis(site, "cache"),
        RabbitMQ(site),
        Etcd(site),
        S3(site),
    ]


def make_product(
    site: Site, environment: Mapping[str, str], instances: Mapping[str, int]
) -> list[Component]:
    """Return the product's processes and nginx: of each section so many `instances`; none of them administers MySQL."""
    environment = {
        name: value
        for name, value in environment.items()
        if not name.startswith("DOUSHENG_REPLICATION__")
    }
    services = [
        Service(site, section, environment, instance=instance)
        for section in SERVICES
        for instance in range(1, instances[section] + 1)
    ]
    gateways = [
        Gateway(site, environment, instance=instance)
        for instance in range(1, instances["gateway"] + 1)
    ]
    storage = f"{environment['DOUSHENG_STORAGE__HOST']}:{environment['DOUSHENG_STORAGE__PORT']}"
    nginx = Nginx(site, [gateway.address for gateway in gateways], storage=storage)
    return [*services, *gateways, nginx]


def make_observers(site: Site, product: Iterable[Component]) -> list[Component]:
    """Return what watches the product's processes."""
    processes = [item for item in product if isinstance(item, ProductProcess)]
    return [Prometheus(site, processes)]


def make_trace_store(site: Site) -> list[Component]:
    """Return what takes and shows the traces of the product's processes."""
    zipkin = Zipkin(site)
    return [zipkin, OtlpReceiver(site, zipkin)]


def count_workers(text: str) -> int:
    """Return a number of workers that was given as text.

    Raises:
        StackError: it is none, or more than a stack has ports for.
    """
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_WORKERS:
        raise StackError(f"{text!r} workers cannot be had", fix=f"ask for 1 to {MOST_WORKERS}")
    return int(text)


def choose_product(components: Iterable[Component], names: Iterable[str]) -> list[Component]:
    """Return the processes that names tell: "user" is every instance of it, "user-2" one; no name means all.

    Raises:
        StackError: the product has no process of such a name.
    """
    product = [item for item in components if isinstance(item, ProductProcess | Nginx)]
    wanted = set(names)
    known = {item.name for item in product}
    if unknown := wanted - known:
        raise StackError(
            f"the product has no process {', '.join(sorted(unknown))}",
            fix=f"one of: {', '.join(item.name for item in product)}",
        )
    return [item for item in product if not wanted or {item.name, section_of(item)} & wanted]


def section_of(component: Component) -> str:
    """Return what a process is an instance of."""
    return component.section if isinstance(component, ProductProcess) else component.name
