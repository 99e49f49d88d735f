"""The search within bounds: bombs and huge files end, and whatever was not searched is said, for it is no evidence."""

import gzip
import io
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from poolctl.keyscan.archives import LIMITS, Limits, members_of
from poolctl.keyscan.scan import scan_paths
from poolkit.security import new_api_key

KEY = new_api_key("sk", "live")
MIB = 1 << 20


def zipped(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def test_what_cannot_be_read_is_said_and_is_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(zipped({"a": b"x" * 1000})[:-30])
    report = scan_paths([tmp_path, tmp_path / "absent"])
    assert [line.partition(":")[0] for line in report.unread] == [
        str(tmp_path / "broken.zip"), str(tmp_path / "absent"),
    ]  # fmt: skip
    assert not report.ok


def test_one_member_that_cannot_be_read_keeps_nobody_from_the_others(tmp_path: Path) -> None:
    packed = bytearray(zipped({"a": bytes(range(256)) * 20, "b": KEY.encode()}))
    # Within the first member's compressed bytes.
    packed[40:60] = b"\xff" * 20
    (tmp_path / "damaged.zip").write_bytes(packed)
    report = scan_paths([tmp_path])
    assert [found.path for found in report.findings] == [f"{tmp_path}/damaged.zip!b"]
    assert [line.partition(":")[0] for line in report.unread] == [f"{tmp_path}/damaged.zip!a"]


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07\x01\x00", "rar"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"xar!", "xar")],
)
def test_what_is_packed_in_a_way_unknown_here_is_said(tmp_path: Path, head: bytes, kind: str) -> None:
    (tmp_path / "packed").write_bytes(head + b"\0" * 100)
    (tmp_path / "around.zip").write_bytes(zipped({"packed": head + b"\0" * 100}))
    report = scan_paths([tmp_path])
    assert report.unread == [
        f"{tmp_path}/{place}: {kind} cannot be unpacked here; unpack it and search the folder"
        for place in ("around.zip!packed", "packed")
    ]


def test_a_bomb_ends_where_the_limit_is_and_what_came_before_it_is_found(tmp_path: Path) -> None:
    limits = Limits(member_bytes=4 * MIB, unpacked_bytes=8 * MIB)
    zeros = bytes(3 * MIB)
    bombs = {
        "one.gz": gzip.compress(bytes(5 * MIB)),
        "many.zip": zipped({"0": KEY.encode()} | {f"{number}": zeros for number in range(1, 9)}),
        "nested.zip": zipped({f"{number}.zip": zipped({"0": zeros, "1": zeros}) for number in range(4)}),
        "deep.gz": b"x",
    }
    for _ in range(7):
        bombs["deep.gz"] = gzip.compress(bombs["deep.gz"])
    for name, content in bombs.items():
        (tmp_path / name).write_bytes(content)
    report = scan_paths([tmp_path], limits)
    assert [found.path for found in report.findings] == [f"{tmp_path}/many.zip!0"]
    deep = f"{tmp_path}/deep.gz" + "!unpacked" * 5
    assert report.unread == [
        f"{deep}: packed more than 5 deep",
        f"{tmp_path}/many.zip: it unpacks to more than 8 MiB; the rest of it is not searched",
        f"{tmp_path}/nested.zip: it unpacks to more than 8 MiB; the rest of it is not searched",
        f"{tmp_path}/one.gz!unpacked: it cannot be unpacked (it unpacks to more than 4 MiB)",
    ]
    assert report.read_bytes < 8 * 4 * MIB


def test_a_zip_of_countless_empty_members_is_not_even_listed(tmp_path: Path) -> None:
    (tmp_path / "empty.zip").write_bytes(zipped({f"{number}": b"" for number in range(3_000)}))
    listed = scan_paths([tmp_path], Limits(zip_directory_bytes=100_000))
    assert ["its list of members is longer than" in line for line in listed.unread] == [True]
    costly = scan_paths([tmp_path], Limits(unpacked_bytes=4 * MIB))
    assert ["unpacks to more than 4 MiB" in line for line in costly.unread] == [True]
    assert scan_paths([tmp_path]).ok


def test_a_huge_file_is_searched_in_little_memory(tmp_path: Path) -> None:
    with (tmp_path / "huge.log").open("wb") as file:
        file.seek(64 * MIB)
        file.write(KEY.encode())
    tracemalloc.start()
    report = scan_paths([tmp_path])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [found.path for found in report.findings] == [f"{tmp_path}/huge.log"]
    assert report.unread == []
    assert peak < 8 * MIB


def test_a_tape_of_countless_members_is_passed_in_little_memory() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tape:
        for number in range(1_500):
            tape.addfile(tarfile.TarInfo(f"{number}"))
            tape.members.clear()  # type: ignore[attr-defined]
    tracemalloc.start()
    count = sum(1 for _ in members_of("tar", packed, LIMITS))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 1_500
    assert peak < 200_000
