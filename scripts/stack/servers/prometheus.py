"""Prometheus, which asks every process of the product and watches the rules of config/prometheus/."""

import json
from collections.abc import Mapping, Sequence

from scripts.stack.component import Component, Listener, Tier
from scripts.stack.files import get_command
from scripts.stack.plain_http import ask
from scripts.stack.services import ProductProcess
from scripts.stack.site import Site

RETENTION = "2d"


class Prometheus(Component):
    """The server of one stack; its page shows alerts and graphs."""

    name = "prometheus"
    tier = Tier.OBSERVERS
    listeners = (Listener("prometheus", "Prometheus"),)
    folders = ("data",)
    templates = (
        "prometheus/local.yml.template",
        "prometheus/recording.yml",
        "prometheus/alerts.yml",
    )

    def __init__(self, site: Site, processes: Sequence[ProductProcess]) -> None:
        super().__init__(site)
        self.processes = processes

    @property
    def values(self) -> Mapping[str, object]:
        """Whom it asks; JSON is YAML."""
        targets: dict[str, list[str]] = {}
        for process in self.processes:
            targets.setdefault(process.section, []).append(process.metrics_address)
        jobs = [
            {"job_name": section, "static_configs": [{"targets": addresses}]}
            for section, addresses in targets.items()
        ]
        return {"SCRAPE_CONFIGS": "\n".join(f"  - {json.dumps(job)}" for job in jobs)}

    @property
    def command(self) -> list[str]:
        """The server with its own configuration; what it holds is thrown away after days."""
        return [
            get_command("prometheus"),
            f"--config.file={self.directory / 'local.yml'}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address={self.address}",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ]

    def probe(self) -> None:
        """Ask whether it answers queries."""
        ready = f"http://{self.address}/-/ready"
        ask(ready, timeout_s=2).raise_for_status()
