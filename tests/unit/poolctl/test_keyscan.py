"""The search for leaked keys: finds one wherever a company ships or keeps it, and takes nothing else for one."""

import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolctl.keyscan.match import find_keys
from poolctl.keyscan.scan import scan_paths
from poolkit.security import new_api_key

KEY = new_api_key("sk", "live")


def zipped(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
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


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("bundle.js", LEAK, "bundle.js:2"),
        ("app.ipa", zipped("Payload/app/main.jsbundle", LEAK), "app.ipa!Payload/app/main.jsbundle:2"),
        ("release.tar.gz", taped("etc/config.json", LEAK), "release.tar.gz!unpacked!etc/config.json:2"),
        ("nested.zip", zipped("inner.zip", zipped("a.txt", LEAK)), "nested.zip!inner.zip!a.txt:2"),
        ("log.gz", gzip.compress(LEAK), "log.gz!unpacked:2"),
        ("log.xz", lzma.compress(LEAK), "log.xz!unpacked:2"),
        ("strings.bin", KEY.encode("utf-16-le"), "strings.bin:1"),
        ("no-line-end", b"x" * 3_000_000 + KEY.encode(), "no-line-end:1"),
    ],
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


def test_what_is_no_secret_key_is_not_taken_for_one(tmp_path: Path) -> None:
    wrong_checksum = KEY[:-1] + ("a" if KEY[-1] != "a" else "b")
    example = "sk_test_" + "A" * 38
    (tmp_path / "noise").write_text("\n".join([wrong_checksum, example, KEY[:-3], new_api_key("pk", "live")]))
    report = scan_paths([tmp_path])
    assert report.findings == []
    assert report.ok


def test_a_key_that_was_committed_and_taken_away_again_is_found(tmp_path: Path) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}

    def git(*words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, env=environment)

    git("init", "-q")
    (tmp_path / "settings.py").write_text(f"KEY = '{KEY}'")
    git("add", ".")
    git("commit", "-q", "-m", "add settings")
    (tmp_path / "settings.py").write_text("KEY = environ['KEY']")
    git("commit", "-q", "-a", "-m", "take the key away")
    git("gc", "-q")
    findings = scan_paths([tmp_path]).findings
    assert [found.path.partition("@")[0] for found in findings] == [str(tmp_path)]


def test_what_cannot_be_read_is_said_and_is_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(zipped("a", b"x" * 1000)[:-30])
    report = scan_paths([tmp_path, tmp_path / "absent"])
    assert [line.partition(":")[0] for line in report.unread] == [
        str(tmp_path / "broken.zip"), str(tmp_path / "absent"),
    ]  # fmt: skip
    assert not report.ok


@given(st.lists(st.binary(max_size=200)), st.integers(0, 10_000), st.integers(1, 97))
def test_a_key_is_found_however_the_bytes_are_cut(noise: list[bytes], where: int, size: int) -> None:
    before = b"".join(noise)[:where]
    content = before + b"\n" + KEY.encode() + b"".join(noise)
    chunks = [content[start : start + size] for start in range(0, len(content), size)]
    assert [(match.key, match.line) for match in find_keys(chunks)] == [(KEY, before.count(b"\n") + 2)]


def test_the_command_exits_1_for_a_finding_and_0_for_none(tmp_path: Path) -> None:
    def scan() -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "poolctl", "key", "scan", str(tmp_path), "--json"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    (tmp_path / "clean.txt").write_text("nothing here")
    clean = scan()
    (tmp_path / "leak.txt").write_text(KEY)
    leaked = scan()
    assert (clean.returncode, json.loads(clean.stdout)["ok"]) == (0, True)
    assert (leaked.returncode, json.loads(leaked.stdout)["ok"]) == (1, False)
    assert KEY not in leaked.stdout + leaked.stderr
