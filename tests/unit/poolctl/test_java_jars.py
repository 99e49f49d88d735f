"""Jars are fetched once, are the pinned ones to the last byte, and a failed attempt leaves nothing that looks so."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poolctl.stack import java_jars
from poolctl.stack.failure import StackError
from poolctl.stack.java_jars import Release, fetch_once

GOOD = b"the jar that was tried"


@pytest.fixture
def gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Release]:
    """A release whose only jar has these bytes, while the good ones are pinned; its cache is the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(java_jars, "__file__", str(tmp_path / "java_jars.py"))
    (tmp_path / "thing-1.0.sha256").write_text(f"{hashlib.sha256(GOOD).hexdigest()}  thing.jar\n")

    def release(content: bytes) -> Release:
        def gather(_: Any, attempt: Path) -> list[Path]:
            jar = attempt / "thing.jar"
            jar.write_bytes(content)
            return [jar]

        return Release("Thing", "1.0", gather)

    return release


async def test_a_jar_is_fetched_once_and_said_to_be(gathered: Callable[[bytes], Release], tmp_path: Path) -> None:
    said: list[str] = []
    first = await fetch_once(gathered(GOOD), tmp_path, said.append)
    assert [jar.read_bytes() for jar in first.jars] == [GOOD]
    assert said == [f"fetching Thing 1.0, once on this machine, into {first.home}"]
    # Would be refused if it were fetched again.
    assert await fetch_once(gathered(b"another"), tmp_path, said.append) == first
    assert len(said) == 1


async def test_a_jar_that_was_cut_short_on_disk_is_fetched_again(
    gathered: Callable[[bytes], Release], tmp_path: Path
) -> None:
    first = await fetch_once(gathered(GOOD), tmp_path)
    first.jars[0].write_bytes(GOOD[:3])
    assert (await fetch_once(gathered(GOOD), tmp_path)).jars[0].read_bytes() == GOOD


async def test_a_jar_that_is_not_the_pinned_one_is_refused_by_name_and_nothing_of_it_stays(
    gathered: Callable[[bytes], Release], tmp_path: Path
) -> None:
    said: list[str] = []
    with pytest.raises(StackError, match=r"these jars are not the pinned ones: thing\.jar") as refused:
        await fetch_once(gathered(b"another"), tmp_path, said.append)
    assert refused.value.advice
    assert said[-1] == "fetching Thing failed, trying once more"
    assert list(tmp_path.rglob("*.jar")) == []
    assert list(tmp_path.rglob("jars.json")) == []
