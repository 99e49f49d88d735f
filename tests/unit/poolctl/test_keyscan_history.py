"""The search in what git remembers: a key that was ever committed is found, however it was taken away again."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from poolctl.keyscan.scan import Report, scan_paths
from poolkit.security import new_api_key

KEY = new_api_key("sk", "live")
ENVIRONMENT = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
    command = ["git", *identity, *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, env=ENVIRONMENT, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository in which the key was committed and taken away again."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "settings.py").write_text(f"KEY = '{KEY}'")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "add settings")
    (folder / "settings.py").write_text("KEY = environ['KEY']")
    git(folder, "commit", "-q", "-a", "-m", "take the key away")
    return folder


def places(report: Report) -> set[str]:
    """Where keys were found, objects without their names; nothing may have been left unread."""
    assert report.unread == []
    return {found.path.partition("@")[0] for found in report.findings}


def test_a_key_that_was_committed_and_taken_away_again_is_found_loose_and_packed(repository: Path) -> None:
    loose = scan_paths([repository])
    assert places(loose) == {str(repository)}
    git(repository, "gc", "-q")
    assert list((repository / ".git/objects/pack").glob("*.pack"))
    packed = scan_paths([repository])
    assert packed.findings == loose.findings


def test_what_no_branch_leads_to_is_found_as_are_words_of_commits(repository: Path) -> None:
    first = git(repository, "rev-list", "--max-parents=0", "HEAD").strip()
    git(repository, "checkout", "-q", "--orphan", "clean")
    git(repository, "commit", "-q", "-m", "start anew")
    git(repository, "branch", "-q", "-D", "main")
    assert places(scan_paths([repository])) == {str(repository)}
    # What is replaced by something else is still there.
    git(repository, "replace", f"{first}:settings.py", "HEAD:settings.py")
    assert places(scan_paths([repository])) == {str(repository)}

    said = repository.parent / "said"
    said.mkdir()
    git(said, "init", "-q")
    git(said, "commit", "-q", "--allow-empty", "-m", f"use {KEY}")
    git(said, "commit", "-q", "--amend", "--allow-empty", "-m", "use the key")
    (said / ".git" / "COMMIT_EDITMSG").unlink()
    assert str(said) in places(scan_paths([said]))


def test_bare_repositories_worktrees_and_repositories_in_folders_are_searched_once_each(repository: Path) -> None:
    around = repository.parent
    git(around, "clone", "-q", "--bare", str(repository), "bare.git")
    git(repository, "worktree", "add", "-q", str(around / "tree"))
    assert places(scan_paths([around / "bare.git"])) == {str(around / "bare.git")}
    # The worktree has no objects of its own: its history lies with the repository's.
    assert places(scan_paths([around / "tree"])) == {str(around / "tree")}
    assert places(scan_paths([around])) == {str(repository), str(around / "bare.git")}


def test_a_history_that_cannot_be_read_is_no_evidence(repository: Path) -> None:
    git(repository, "gc", "-q")
    [pack] = (repository / ".git/objects/pack").glob("*.pack")
    pack.chmod(0o600)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 0xFF
    pack.write_bytes(content)
    damaged = scan_paths([repository])
    assert not damaged.ok
    assert damaged.unread
    # A pack out of its repository, and a bundle, hold what only git can read.
    aside = repository.parent / "aside"
    aside.mkdir()
    shutil.copy(pack, aside / "x.pack")
    assert ["git pack" in line for line in scan_paths([aside]).unread] == [True]


def test_a_bundle_is_said_not_to_be_searched(repository: Path) -> None:
    git(repository, "bundle", "create", "-q", "../all.bundle", "--all")
    assert ["git bundle" in line for line in scan_paths([repository.parent / "all.bundle"]).unread] == [True]


def test_what_the_environment_tells_git_is_not_heard(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", "/nowhere")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert places(scan_paths([repository])) == {str(repository)}
