"""Certificates for the tests of TLS: of the authority that is believed, and of strangers."""

from pathlib import Path

from pkg.tls import TlsFiles, TlsSettings
from scripts.stack.authority import Authority, Pair, list_subjects

SUBJECTS = {subject.name: subject for subject in list_subjects({})}
EXPIRED = -1.0


class Certificates:
    """What one authority has signed, made at the first look."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.authority.ensure()
        self.ca_file = self.authority.certificate_file

    def pair(self, name: str) -> Pair:
        """Return a certificate and key that are good for a year."""
        pair = self.authority.pair(name)
        return pair if pair.key.exists() else self.authority.issue(SUBJECTS[name])

    def files(self, name: str, *, ca_file: Path | None = None) -> TlsFiles:
        """Return somebody's settings of `rpc.tls`, who believes this authority unless told otherwise."""
        pair = self.pair(name)
        return TlsFiles(
            ca_file=ca_file or self.ca_file, certificate_file=pair.certificate, key_file=pair.key
        )

    def client(self, name: str | None = "operator", **changes: object) -> TlsSettings:
        """Return a client's settings of `tls`; without a name it has no certificate of its own."""
        own = self.files(name).model_dump() if name else {"ca_file": self.ca_file}
        return TlsSettings.model_validate(own | changes)
