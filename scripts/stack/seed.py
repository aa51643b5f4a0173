"""Sample users and videos for the local stack: once, unless asked for."""

from pathlib import Path

from scripts.private_files import write_private
from scripts.samples import SamplesRefused, put_samples_in
from scripts.stack.report import Report, StackError, step
from scripts.stack.site import Site


def seed(site: Site, *, report: Report, again: bool = False) -> None:
    """Register the sample users, publish the sample videos and wait until the feed shows them.

    Does nothing where it was done before, unless `again`; what is there already is not doubled.

    Raises:
        StackError: the system refused something, or a video did not get published in time.
    """
    if is_seeded(site) and not again:
        return
    try:
        with step(report, "sample users and videos"):
            put_samples_in(f"http://127.0.0.1:{site.ports.of('nginx')}/douyin")
    except SamplesRefused as exc:
        raise StackError(
            f"the samples could not be put in: {exc}",
            fix="see scripts/status and scripts/logs gateway, then run scripts/seed",
        ) from exc
    write_private(_marker_of(site), "")


def is_seeded(site: Site) -> bool:
    """Return whether the samples were put in here before."""
    return _marker_of(site).exists()


def _marker_of(site: Site) -> Path:
    return site.run_dir / "seeded"
