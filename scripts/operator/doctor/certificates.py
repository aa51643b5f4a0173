"""Certificates: none ends soon."""

import ssl
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

from pkg.tls import TlsFiles
from scripts.operator.doctor.answers import in_thread
from scripts.operator.doctor.finding import Finding, NotHere
from scripts.operator.doctor.target import Target

SOON = timedelta(days=21)


async def look_at_certificates(target: Target) -> Sequence[Finding]:
    """Every certificate that is used or believed here is good for three weeks more."""
    files = [*_list_files(target), *target.place.certificate_files]
    ends = {str(path): _find_end(path.read_bytes()) for path in dict.fromkeys(files)}
    parts = urlsplit(target.url or "")
    if parts.scheme == "https" and "nginx" not in target.away:
        address = (str(parts.hostname), parts.port or 443)
        shown = await in_thread(
            lambda: ssl.get_server_certificate(address, timeout=target.answer_s)
        )
        ends[f"what nginx shows at {parts.netloc}"] = _find_end(shown.encode())
    if not ends:
        raise NotHere("nothing is encrypted with certificates that are seen from here")
    return list(_judge(ends, target))


def _judge(ends: dict[str, datetime], target: Target) -> Iterable[Finding]:
    now = datetime.now(UTC)
    for name, end in ends.items():
        if end - now > SOON:
            continue
        days = (end - now).days
        what = "has ended" if end < now else f"ends in {days} days"
        command = target.place.command("certificates", "--out", "DIR")
        if Path(name).exists():
            command = target.place.command("certificates", "--out", str(Path(name).parent))
        yield Finding(f"certificate {name}", what, f"notAfter is {end:%Y-%m-%d %H:%M} UTC", command)


def _list_files(target: Target) -> list[Path]:
    sections = (getattr(target.settings, name) for name in type(target.settings).model_fields)
    tls = (getattr(section, "tls", None) for section in sections)
    used = [files for files in tls if isinstance(files, TlsFiles)]
    paths = [path for files in used for path in (files.ca_file, files.certificate_file)]
    return [path for path in paths if path is not None]


def _find_end(pem: bytes) -> datetime:
    """Return when the first of the certificates in a file ends."""
    return min(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(pem))
