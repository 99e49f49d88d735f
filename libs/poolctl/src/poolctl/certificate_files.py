"""Owns where the files of one identity lie in its folder: the names that cert-manager gives them."""

from pathlib import Path

CERTIFICATE, KEY, CA = "tls.crt", "tls.key", "ca.crt"


def files_in(folder: Path) -> tuple[Path, Path, Path]:
    """Certificate, key and CA of one folder."""
    return folder / CERTIFICATE, folder / KEY, folder / CA


def variables(folder: Path) -> dict[str, str]:
    """What a program is told to be who the folder is for."""
    certificate, key, ca = (str(file) for file in files_in(folder))
    return {"POOLS_TLS_CERTIFICATE_FILE": certificate, "POOLS_TLS_KEY_FILE": key, "POOLS_TLS_CA_FILE": ca}
