"""The way `make skew` takes through the combinations of two revisions, and what it tells the older one."""

import subprocess
from pathlib import Path

from tests.skew.revision import WRAPPER
from tests.skew.walk import NAMES, gray


def test_the_walk_meets_every_combination_once_by_changes_of_one_service() -> None:
    met = [0]
    for combination, changed in gray(len(NAMES)):
        assert combination ^ met[-1] == 1 << changed
        met.append(combination)
    assert sorted(met) == list(range(32))


def test_a_revision_is_told_no_setting_that_it_does_not_know(tmp_path: Path) -> None:
    wrapper = tmp_path / "python"
    wrapper.write_text(WRAPPER.format(known="POOLS_MODE POOLS_QUOTE_ADDRESS", python="/usr/bin/env"))
    wrapper.chmod(0o755)
    given = {"PATH": "/usr/bin:/bin", "POOLS_MODE": "test", "POOLS_NEW_SETTING": "1", "POOLS_QUOTE": "1", "OTHER": "1"}
    told = subprocess.run([wrapper], env=given, capture_output=True, text=True, check=True).stdout
    assert {line.partition("=")[0] for line in told.splitlines()} - {"PWD", "_", "SHLVL"} == {
        "PATH",
        "POOLS_MODE",
        "OTHER",
    }
