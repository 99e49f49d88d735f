"""The search for leaked keys: finds one wherever a company ships or keeps it, and takes nothing else for one."""

import gzip
import io
import json
import lzma
import plistlib
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from poolctl.cli import app
from poolctl.keyscan.match import find_keys
from poolctl.keyscan.scan import scan_paths
from poolkit.security import new_api_key

KEY = new_api_key("sk", "live")


def zipped(name: str, content: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        archive.writestr("first.txt", "nothing here")
        archive.writestr(name, content)
    return packed.getvalue()


def taped(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


LEAK = b'{"ok": 1}\nconst key = "' + KEY.encode() + b'";\n'


def minified(key: str) -> bytes:
    """One line of a megabyte with the key in its middle, as bundlers write it."""
    filler = b'function a(b,c){return b.d("sk_",c)};' * 14_000
    return filler + b'var e=new F("' + key.encode() + b'",{g:!0});' + filler


def packaged(key: str) -> bytes:
    """An app as phones take it: a compressed bundle between a binary manifest and stored resources."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("AndroidManifest.xml", b"\x03\x00\x08\x00" + "a:name".encode("utf-16-le"))
        archive.writestr("assets/index.android.bundle", minified(key))
        archive.writestr("resources.arsc", b"\x02\x00" + "api".encode("utf-16-le"), zipfile.ZIP_STORED)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("bundle.js", LEAK, "bundle.js:2"),
        ("bundle.min.js", minified(KEY), "bundle.min.js:1"),
        ("app.apk", packaged(KEY), "app.apk!assets/index.android.bundle:1"),
        ("Info.plist", plistlib.dumps({"api": {"key": KEY}}), "Info.plist:8"),
        ("binary.plist", plistlib.dumps({"api": {"key": KEY}}, fmt=plistlib.FMT_BINARY), "binary.plist:1"),
        # Beside a letter that ASCII has not, a binary property list keeps the whole text in UTF-16, big end first.
        ("wide.plist", plistlib.dumps({"key": f"clé {KEY}"}, fmt=plistlib.FMT_BINARY), "wide.plist:1"),
        ("stored.zip", zipped("a.txt", LEAK, zipfile.ZIP_STORED), "stored.zip!a.txt:2"),
        ("lzma.zip", zipped("a.txt", LEAK, zipfile.ZIP_LZMA), "lzma.zip!a.txt:2"),
        ("installer.exe", b"MZ" + b"\0" * 70_000 + zipped("a.txt", LEAK), "installer.exe!a.txt:2"),
        ("outer.tar.gz", taped("app.zip", zipped("b.js", LEAK)), "outer.tar.gz!unpacked!app.zip!b.js:2"),
        ("tape.zip", zipped("x.tgz", taped("y", LEAK)), "tape.zip!x.tgz!unpacked!y:2"),
        ("big-end.strings", b"\xfe\xff" + f'"key"\n= "{KEY}";'.encode("utf-16-be"), "big-end.strings:2"),
        ("windows.ini", f"[api]\r\nkey={KEY}\r\n".encode("utf-16"), "windows.ini:2"),
        ("run-on.js", b"sk_test_" + b"A" * 36 + KEY.encode() + b"AAAA", "run-on.js:1"),
        ("app.ipa", zipped("Payload/app/main.jsbundle", LEAK), "app.ipa!Payload/app/main.jsbundle:2"),
        ("release.tar.gz", taped("etc/config.json", LEAK), "release.tar.gz!unpacked!etc/config.json:2"),
        ("nested.zip", zipped("inner.zip", zipped("a.txt", LEAK)), "nested.zip!inner.zip!a.txt:2"),
        ("log.gz", gzip.compress(LEAK), "log.gz!unpacked:2"),
        ("log.xz", lzma.compress(LEAK), "log.xz!unpacked:2"),
        ("strings.bin", KEY.encode("utf-16-le"), "strings.bin:1"),
        ("no-line-end", b"x" * 3_000_000 + KEY.encode(), "no-line-end:1"),
    ],
    # The content is another in every process; a test's name must not be.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_key_is_found_wherever_it_is_packed(tmp_path: Path, name: str, content: bytes, place: str) -> None:
    (tmp_path / name).write_bytes(content)
    report = scan_paths([tmp_path])
    assert [found.place for found in report.findings] == [str(tmp_path / place)]
    assert not report.ok


def test_a_report_never_shows_the_key(tmp_path: Path) -> None:
    (tmp_path / "leak").write_text(KEY)
    told = json.dumps(scan_paths([tmp_path]).document())
    assert KEY not in told
    assert KEY[:12] in told


def test_keys_of_test_mode_are_found_too_and_every_line_of_a_file_is_told_once_a_key(tmp_path: Path) -> None:
    keys = [KEY, new_api_key("sk", "test"), KEY]
    (tmp_path / "keys.env").write_text("\n".join(keys))
    findings = scan_paths([tmp_path]).findings
    assert [(found.mode, found.line) for found in findings] == [("live", 1), ("test", 2)]


def test_what_is_no_secret_key_is_not_taken_for_one(tmp_path: Path) -> None:
    wrong_checksum = KEY[:-1] + ("a" if KEY[-1] != "a" else "b")
    example = "sk_test_" + "A" * 38
    publishable = [new_api_key("pk", "live"), new_api_key("pk", "test")]
    (tmp_path / "noise").write_text("\n".join([wrong_checksum, example, KEY[:-3], KEY.upper(), *publishable]))
    report = scan_paths([tmp_path])
    assert report.findings == []
    assert report.ok


@given(st.lists(st.binary(max_size=200)), st.integers(0, 10_000), st.integers(1, 97))
def test_a_key_is_found_however_the_bytes_are_cut(noise: list[bytes], where: int, size: int) -> None:
    before = b"".join(noise)[:where]
    content = before + b"\n" + KEY.encode() + b"".join(noise)
    chunks = [content[start : start + size] for start in range(0, len(content), size)]
    assert [(match.key, match.line) for match in find_keys(chunks)] == [(KEY, before.count(b"\n") + 2)]


def test_the_command_exits_1_for_a_finding_0_for_none_and_2_for_what_is_not_there(tmp_path: Path) -> None:
    def scan(*words: str | Path) -> Result:
        return CliRunner().invoke(app, ["key", "scan", *map(str, words)])

    (tmp_path / "clean.txt").write_text("nothing here")
    clean, told_clean = scan(tmp_path, "--json"), scan(tmp_path)
    (tmp_path / "leak.txt").write_text(KEY)
    leaked, told = scan(tmp_path, "--json"), scan(tmp_path)
    absent = scan(tmp_path, tmp_path / "absent", "--json")
    assert (clean.exit_code, json.loads(clean.stdout)["ok"]) == (0, True)
    assert (told_clean.exit_code, told_clean.stdout) == (0, "")
    assert "no secret key in 1 files" in told_clean.stderr
    assert (leaked.exit_code, json.loads(leaked.stdout)["ok"]) == (1, False)
    assert (told.exit_code, told.stdout) == (1, f"{tmp_path}/leak.txt:1: {KEY[:12]}…{KEY[-4:]}\n")
    assert (absent.exit_code, absent.stdout) == (2, "")
    assert KEY not in leaked.output + told.output
