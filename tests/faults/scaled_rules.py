"""The rules of config/prometheus as if time went faster: an alert of hours is one of seconds."""

import re
from typing import Any

import yaml

# Three days become a quarter of an hour, six hours a bit more than a minute, five minutes a second.
FASTER = 300
SCRAPE_INTERVAL_S = 1
# A rate wants several samples, and a busy machine loses one now and then.
SHORTEST_RANGE_S = 5
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+)([smhd])")
_RANGE = re.compile(r"\[(\d+[smhd])\]")


def speed_up(name: str, content: str) -> str:
    """Return a file of Prometheus in which every duration is a 300th, and every process is asked each second.

    Durations are those for which a condition must hold (`for`), the ranges of expressions (`[5m]`) and the intervals of groups. They
    say how patient an alert is, and promtool's tests check them; here the question is whether the real cause makes the real series say
    what the expression asks for, which takes as long as it takes. Ranges are 5 s at least. Thresholds, labels and the rest of the
    expressions are as they are, those in seconds too: an upload that is told as old is old.
    """
    loaded = yaml.safe_load(content)
    if name == "local.yml":
        interval = f"{SCRAPE_INTERVAL_S}s"
        loaded["global"] = {"scrape_interval": interval, "evaluation_interval": interval}
    for group in loaded.get("groups", ()):
        _speed_up_group(group)
    return yaml.safe_dump(loaded, sort_keys=False)


def _speed_up_group(group: dict[str, Any]) -> None:
    if "interval" in group:
        group["interval"] = _scale(group["interval"], at_least_s=SCRAPE_INTERVAL_S)
    for rule in group["rules"]:
        rule["expr"] = _RANGE.sub(
            lambda found: f"[{_scale(found[1], at_least_s=SHORTEST_RANGE_S)}]", rule["expr"]
        )
        if "for" in rule:
            rule["for"] = _scale(rule["for"], at_least_s=0)


def _scale(duration: str, *, at_least_s: float) -> str:
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise ValueError(f"{duration!r} is no single number with a unit of s, m, h or d")
    seconds = int(found[1]) * _UNITS_S[found[2]] / FASTER
    return f"{round(max(seconds, at_least_s) * 1000)}ms"
