"""Certificates for tests: a CA of their own, good ones for anybody, and bad ones of every kind."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from poolctl.certificate_files import CA, CERTIFICATE, KEY
from poolctl.certificates import Authority
from poolkit.rpc.certificates import Certificates

HOUR = timedelta(hours=1)


class Identities:
    """Certificates of one CA in folders of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority.make()

    def make(self, name: str) -> Certificates:
        """A good certificate, written anew where there was one."""
        self.authority.issue(self.folder / name, name, lives=HOUR)
        return at(self.folder / name)

    def make_bad(self, kind: str, name: str) -> Certificates:
        """One that nobody must accept as `name`: expired, not yet valid, of another CA, self-signed."""
        folder = self.folder / f"{kind} {name}"
        if kind == "expired":
            self.authority.issue(folder, name, begins=-2 * HOUR, lives=-HOUR)
        elif kind == "not yet valid":
            self.authority.issue(folder, name, begins=HOUR, lives=2 * HOUR)
        elif kind == "of another CA":
            Authority.make().issue(folder, name, lives=HOUR)
        else:
            assert kind == "self-signed"
            folder.mkdir()
            sign_itself(folder, name)
        # What is bad is the certificate; whom it trusts is as it should be.
        (folder / CA).write_bytes(self.make("trusted").identity.ca)
        return at(folder)


def by_common_name(authority: Authority, name: str) -> tuple[bytes, bytes]:
    """Key and certificate of the CA's for a name that is no subject alternative name, as careless issuers make them."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = authority.certificate.subject
    certificate = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - HOUR)
        .not_valid_after(now + HOUR)
        .sign(authority._key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, certificate.public_bytes(Encoding.PEM)


def at(folder: Path) -> Certificates:
    """The files of a folder."""
    return Certificates(folder / CERTIFICATE, folder / KEY, folder / CA)


def sign_itself(folder: Path, name: str) -> None:
    """A certificate that vouches for itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - HOUR)
        .not_valid_after(now + HOUR)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, SHA256())
    )
    (folder / CERTIFICATE).write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / KEY).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
