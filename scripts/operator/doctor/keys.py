"""Keys: those that are named are there, nobody else reads the private ones, and none is old."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dal.db.message_keys import find_newest_creation, list_wrapping_pairs
from scripts.operator.doctor.finding import Finding
from scripts.operator.doctor.target import Target

OLD = timedelta(days=365)


async def look_at_token_keys(target: Target) -> Sequence[Finding]:
    """The key that signs tokens is among those that are believed, and is not older than a year."""
    token = target.settings.token
    path = token.public_keys_dir / f"{token.key_id}.pem"
    rotate = target.place.command("rotate-token-key", "--add", "NAME")
    if not path.exists():
        return [Finding("token key", "is missing", f"{path} of token.key_id", rotate)]
    private = [token.private_key_file] if token.private_key_file else []
    findings = list(_find_readable(private))
    age = timedelta(seconds=time.time() - path.stat().st_mtime)
    if age > OLD:
        findings.append(Finding("token key", "is old", f"{path} is of {age.days} days ago", rotate))
    return findings


async def look_at_message_keys(target: Target) -> Sequence[Finding]:
    """Every pair that wraps a data key of messages is there, and the newest data key is not older than a year."""
    folder = target.settings.crypt.private_keys_dir
    async with target.database.read_source() as connection:
        pairs = await list_wrapping_pairs(connection)
        newest = await find_newest_creation(connection)
    pairs.add(target.settings.crypt.key_id)
    missing = sorted(name for name in pairs if not (folder / f"{name}.pem").exists())
    findings = [*_find_readable(sorted(folder.glob("*.pem")))]
    if missing:
        restore = target.place.command("restore", "DIR", "--check")
        evidence = f"{', '.join(missing)} not in {folder}: their messages cannot be read"
        findings.append(Finding("message keys", "are missing", evidence, restore))
    if newest is not None and datetime.now(UTC) - newest > OLD:
        rotate = target.place.command("rotate-keys")
        evidence = f"the newest data key is of {newest:%Y-%m-%d}"
        findings.append(Finding("message keys", "are old", evidence, rotate))
    return findings


def _find_readable(paths: Sequence[Path]) -> Iterator[Finding]:
    """Yield a finding for each private key that others than its owner can read."""
    for path in paths:
        if path.stat().st_mode & 0o077:
            mode = f"its mode is {path.stat().st_mode & 0o777:o}"
            yield Finding(f"private key {path}", "is readable by others", mode, f"chmod 600 {path}")
