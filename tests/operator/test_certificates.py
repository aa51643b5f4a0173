"""scripts/certificates makes what is needed to try TLS, for its owner alone, and renews it when it is run again."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from pkg.rpc.tls import certificate_name
from scripts.operator.certificates import main
from scripts.stack.authority import SERVERS
from scripts.stack.ports import SERVICES


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names_in(certificate: x509.Certificate) -> set[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(address) for address in found.get_values_for_type(x509.IPAddress)}
    return {*found.get_values_for_type(x509.DNSName), *addresses}


def test_everybody_gets_a_certificate_of_the_authority_with_the_names_that_callers_expect(tmp_path):
    arguments = ["--out", str(tmp_path), "--days", "3"]
    assert main([*arguments, "--host", "mysql=db-1,10.0.0.5", "--host", "mysql=db-2"]) == 0

    authority = read(tmp_path / "ca.pem")
    for name in (*SERVERS, *SERVICES, "gateway", "operator"):
        certificate = read(tmp_path / f"{name}.pem")
        certificate.verify_directly_issued_by(authority)
        left = certificate.not_valid_after_utc - datetime.now(UTC)
        assert timedelta(days=2, hours=23) < left < timedelta(days=3)
    assert {"mysql", "127.0.0.1", "db-1", "db-2", "10.0.0.5"} < names_in(
        read(tmp_path / "mysql.pem")
    )
    for service in SERVICES:
        assert names_in(read(tmp_path / f"{service}.pem")) == {certificate_name(service)}


def test_keys_are_readable_by_their_owner_alone(tmp_path):
    folder = tmp_path / "certificates"
    main(["--out", str(folder)])

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_run_again_it_keeps_the_authority_and_renews_the_others(tmp_path):
    main(["--out", str(tmp_path)])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    main(["--out", str(tmp_path)])

    same = {path.name for path in tmp_path.iterdir() if path.read_bytes() == before[path.name]}
    assert same == {"ca.pem", "ca-key.pem"}


@pytest.mark.parametrize(
    "arguments", [[], ["--days", "0"], ["--days", "x"], ["--host", "mysql"], ["--host", "mysqk=db"]]
)
def test_what_it_does_not_understand_is_refused(tmp_path, capsys, arguments):
    out = ["--out", str(tmp_path)] if arguments else []

    with pytest.raises(SystemExit) as ended:
        main([*out, *arguments])

    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_told(tmp_path, capsys):
    (tmp_path / "file").touch()

    assert main(["--out", str(tmp_path / "file" / "folder")]) == 1
    assert "certificates cannot be made" in capsys.readouterr().err
