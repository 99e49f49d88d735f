"""This process's certificate, key and CA: read from their files, checked, and read again when those change."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self, cast

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from poolkit.telemetry.metrics import CERTIFICATE_EXPIRY
from poolkit.tls_settings import TlsSettings

# While files are being replaced they do not fit each other for a moment.
READS_MAX: Final = 3

log = structlog.get_logger(__name__)

FileState = tuple[tuple[int, int, int], ...]
"""What changes when a file is replaced or written: its inode, time and size, for each of the three."""


class CertificatesUnusable(Exception):
    """Why the files cannot prove anything, and what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One certificate with its key and the CA of those whom it is shown to."""

    certificates: bytes = field(repr=False)
    key: bytes = field(repr=False)
    ca: bytes = field(repr=False)
    names: tuple[str, ...]
    issuer: str
    ends_at: datetime

    @property
    def has_ended(self) -> bool:
        """Whether nobody accepts it any more."""
        return datetime.now(UTC) >= self.ends_at


class Certificates:
    """The identity of this process as its files have it now. Safe to ask from any thread: gRPC asks from its own."""

    def __init__(self, certificate: Path, key: Path, ca: Path) -> None:
        self._files = (certificate, key, ca)
        self._lock = threading.Lock()
        self._looked_at: FileState = ()
        self._told = ""
        self.version = 0
        self.identity: Identity
        self._adopt(self._read_whole())

    @classmethod
    def of(cls, settings: TlsSettings) -> Self | None:
        """Those that the settings name; None where they name none. Raises CertificatesUnusable."""
        certificate, key, ca = settings.tls_certificate_file, settings.tls_key_file, settings.tls_ca_file
        if certificate is None or key is None or ca is None:
            return None
        return cls(certificate, key, ca)

    def look(self) -> int:
        """Reads the files again if they have changed, and answers the version in force.

        Files that do not fit together leave the identity before in force, and a line in the log.
        """
        with self._lock:
            try:
                if self._state() != self._looked_at:
                    self._adopt(self._read_whole())
            except CertificatesUnusable as failure:
                if str(failure) != self._told:
                    self._told = str(failure)
                    log.error("certificates_not_usable", why=f"{failure} The ones before stay in force.")
            return self.version

    def server_credentials(self) -> grpc.ServerCredentials:
        """For one port: callers must show a certificate of the CA; each handshake goes by the files of its time."""
        given = self.version

        def changed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal given
            version = self.look()
            if version == given:
                return None
            given = version
            return self._configuration()

        # The stubs do not know that None is an answer: gRPC keeps what it has.
        fetcher = cast("Callable[[], grpc.ServerCertificateConfiguration]", changed)
        return grpc.dynamic_ssl_server_credentials(self._configuration(), fetcher, require_client_authentication=True)

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """For a channel that is opened now."""
        now = self.identity
        return grpc.ssl_channel_credentials(now.ca, now.key, now.certificates)

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        now = self.identity
        return grpc.ssl_server_certificate_configuration([(now.key, now.certificates)], root_certificates=now.ca)

    def _state(self) -> FileState:
        try:
            stats = [file.stat() for file in self._files]
        except OSError as failure:
            raise CertificatesUnusable(f"{failure.filename} cannot be read: {failure.strerror}.") from failure
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)

    def _read_whole(self) -> Identity:
        """The files as they were at one moment. Raises CertificatesUnusable, also where there is none to read."""
        for _ in range(READS_MAX):
            before = self._state()
            try:
                contents = [file.read_bytes() for file in self._files]
            except OSError as failure:
                raise CertificatesUnusable(f"{failure.filename} cannot be read: {failure.strerror}.") from failure
            if self._state() == before:
                self._looked_at = before
                return self._checked(*contents)
        raise CertificatesUnusable(f"{self._files[0]} and its neighbours change faster than they can be read.")

    def _checked(self, certificates: bytes, key: bytes, ca: bytes) -> Identity:
        certificate_file, key_file, ca_file = self._files
        leaf = _certificates_in(certificates, certificate_file)[0]
        _certificates_in(ca, ca_file)
        try:
            public = load_pem_private_key(key, password=None).public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm) as malformed:
            raise CertificatesUnusable(f"{key_file} holds no private key in PEM without a passphrase.") from malformed
        if _public_bytes(public) != _public_bytes(leaf.public_key()):
            raise CertificatesUnusable(f"{key_file} is not the key of the certificate in {certificate_file}.")
        names = _dns_names(leaf)
        if not names:
            raise CertificatesUnusable(
                f"The certificate in {certificate_file} carries no DNS name, and by that colleagues tell who calls: "
                "have it issued with the service's name as a subject alternative name."
            )
        return Identity(certificates, key, ca, names, leaf.issuer.rfc4514_string(), leaf.not_valid_after_utc)

    def _adopt(self, identity: Identity) -> None:
        self.identity = identity
        self.version += 1
        self._told = ""
        CERTIFICATE_EXPIRY.labels(identity.names[0]).set(identity.ends_at.timestamp())
        log.info(
            "certificate_in_force",
            names=identity.names,
            issuer=identity.issuer,
            ends_at=identity.ends_at.isoformat(),
            version=self.version,
        )
        self.tell_if_ended()

    def tell_if_ended(self) -> None:
        """Says so in the log when the certificate in force has ended: then no colleague accepts it."""
        now = self.identity
        if now.has_ended:
            log.error(
                "certificate_has_ended",
                names=now.names,
                ends_at=now.ends_at.isoformat(),
                why=f"No colleague accepts it any more; have a new one written to {self._files[0]}.",
            )


def _certificates_in(content: bytes, file: Path) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as malformed:
        raise CertificatesUnusable(f"{file} holds no certificate in PEM.") from malformed


def _dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.DNSName))


def _public_bytes(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded
