"""`poolctl certs`: a CA, a certificate for everybody there is, keys for their owner alone; again means renewed."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from typer.testing import CliRunner

from poolctl.certificate_files import CA, CERTIFICATE, KEY, files_in
from poolctl.certificates import CA_KEY
from poolctl.cli import app
from poolctl.stack.layout import Layout
from poolctl.stack.mtls import certificates_of, choose, is_chosen
from poolkit.rpc.callers import CALLERS
from poolkit.rpc.certificates import Certificates


def certs(folder: Path, *words: str) -> dict[str, Any]:
    """What the command answers."""
    shown = CliRunner().invoke(app, ["certs", "--data-dir", str(folder), *words, "--json"])
    assert shown.exit_code == 0, shown.output
    document: dict[str, Any] = json.loads(shown.stdout)
    return document


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_everybody_gets_a_short_lived_certificate_of_one_ca_to_call_and_to_serve_with(tmp_path: Path) -> None:
    document = certs(tmp_path, "--hours", "2")
    assert {one["name"] for one in document["certificates"]} == CALLERS
    ca = certificate(Path(document["ca"]))
    for one in document["certificates"]:
        issued = certificate(Path(one["folder"]) / CERTIFICATE)
        issued.verify_directly_issued_by(ca)
        names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [one["name"]]
        uses = issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert set(uses) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
        assert issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
        left = issued.not_valid_after_utc - datetime.now(UTC)
        assert timedelta(minutes=115) < left <= timedelta(hours=2)
        assert datetime.fromisoformat(one["endsAt"]) == issued.not_valid_after_utc
        # As a service reads them.
        assert Certificates(*files_in(Path(one["folder"]))).identity.names == (one["name"],)


def test_only_their_owner_may_read_keys(tmp_path: Path) -> None:
    certs(tmp_path)
    keys = [*tmp_path.rglob(KEY), *tmp_path.rglob(CA_KEY)]
    assert len(keys) == len(CALLERS) + 1
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}
    assert {key.parent.stat().st_mode & 0o777 for key in keys} == {0o700}


def test_again_means_new_certificates_of_the_same_ca(tmp_path: Path) -> None:
    first = certs(tmp_path)
    folder = Path(first["certificates"][0]["folder"])
    before, ca = certificate(folder / CERTIFICATE), (folder / CA).read_bytes()
    running = Certificates(*files_in(folder))
    second = certs(tmp_path)
    assert second["ca"] == first["ca"]
    assert certificate(folder / CERTIFICATE).serial_number != before.serial_number
    assert (folder / CA).read_bytes() == ca
    assert running.look() == 2


def test_elsewhere_means_not_for_the_stack(tmp_path: Path) -> None:
    certs(tmp_path / "stack", "--out", str(tmp_path / "elsewhere"))
    assert (tmp_path / "elsewhere" / "quote" / CERTIFICATE).exists()
    assert not (tmp_path / "stack").exists()


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    shown = CliRunner().invoke(app, ["certs", "--out", str(tmp_path / "file")])
    assert shown.exit_code == 1
    assert "cannot be written to" in str(shown.exception)


@pytest.mark.parametrize(("asked", "again"), [(True, True), (False, False), (None, False)])
def test_a_stack_remembers_what_it_was_asked_for(tmp_path: Path, asked: bool | None, again: bool) -> None:
    layout = Layout.at(tmp_path)
    assert choose(layout, asked) is bool(asked)
    assert (choose(layout, None), is_chosen(layout)) == (again, again)
    certs(tmp_path)
    shown = certificates_of(layout, "operator")
    assert (shown.identity.names if shown else None) == (("operator",) if again else None)
