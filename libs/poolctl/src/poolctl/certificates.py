"""Owns the certificates of a dev stack: a CA of its own, and one short-lived certificate for each who calls or serves.

A folder each, with the file names that cert-manager gives: `tls.crt`, `tls.key`, `ca.crt`. Not for production: there
the CA's key lies where no service's files do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from poolctl.certificate_files import CA, CERTIFICATE, KEY
from poolctl.stack.secrets import write_privately

CA_KEY: Final = "ca.key"
HOURS: Final = 24.0
CA_DAYS: Final = 365
# Clocks differ a little.
_BEFORE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate and where it lies."""

    name: str
    folder: Path
    ends_at: datetime


class Authority:
    """A CA that signs for this machine's programs."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self.certificate = certificate

    @classmethod
    def make(cls) -> "Authority":
        """A new one, which nobody trusts yet."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        name = _name("0Pools dev CA")
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - _BEFORE)
            .not_valid_after(now + timedelta(days=CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, SHA256())
        )
        return cls(key, certificate)

    @classmethod
    def load_or_make(cls, folder: Path) -> "Authority":
        """The folder's own; a new one where there is none yet, or it ends before what it is about to sign."""
        try:
            key = load_pem_private_key((folder / CA_KEY).read_bytes(), password=None)
            certificate = x509.load_pem_x509_certificate((folder / CA).read_bytes())
        except (OSError, ValueError):
            return cls.make().kept(folder)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or _left(certificate) < timedelta(days=CA_DAYS / 2):
            return cls.make().kept(folder)
        return cls(key, certificate)

    def kept(self, folder: Path) -> "Authority":
        """Writes it down, for its owner only."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_privately(folder / CA_KEY, _key_pem(self._key))
        write_privately(folder / CA, _pem(self.certificate))
        return self

    def issue(self, folder: Path, name: str, *, begins: timedelta = -_BEFORE, lives: timedelta) -> Issued:
        """A certificate for `name`, to serve and to call with, and its key and the CA, into the folder."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        signer = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            x509.CertificateBuilder(
                self.certificate.subject, _name(name), key.public_key(), x509.random_serial_number()
            )
            .not_valid_before(now + begins)
            .not_valid_after(now + lives)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer), critical=False)
            .sign(self._key, SHA256())
        )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_privately(folder / CA, _pem(self.certificate))
        write_privately(folder / KEY, _key_pem(key))
        write_privately(folder / CERTIFICATE, _pem(certificate))
        return Issued(name, folder, certificate.not_valid_after_utc)


def issue_all(folder: Path, names: Iterable[str], *, hours: float = HOURS) -> list[Issued]:
    """New certificates for all, from the folder's CA; whoever uses those before takes up the new ones by itself."""
    authority = Authority.load_or_make(folder)
    return [authority.issue(folder / name, name, lives=timedelta(hours=hours)) for name in sorted(names)]


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _left(certificate: x509.Certificate) -> timedelta:
    return certificate.not_valid_after_utc - datetime.now(UTC)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
