"""What every command has: help with an example, its options, and its way of saying that it was called wrongly."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from poolctl.cli import COMMANDS, app

NEEDS_NO_STACK = {("key", "scan")}


def commands_found() -> Iterator[tuple[str, ...]]:
    for name, module in COMMANDS.items():
        loaded: Any = import_module(module)
        if hasattr(loaded, "app"):
            yield from ((name, str(sub.name)) for sub in loaded.app.registered_commands)
        else:
            yield (name,)


ALL = tuple(commands_found())


@pytest.mark.parametrize("words", [(), *((name,) for name in COMMANDS), *ALL], ids=" ".join)
def test_help_shows_an_example(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"], prog_name="poolctl")
    assert shown.exit_code == 0
    text = " ".join(shown.output.split())
    assert f"Example: poolctl {' '.join(words)}".strip() in text


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_takes_a_stack_and_answers_in_json(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"]).output
    assert "--json" in shown
    assert ("--data-dir" in shown) is (words not in NEEDS_NO_STACK)


@pytest.mark.parametrize(
    "words",
    [
        ["partner", "create"],
        ["partner", "entitle", "org_1", "--status", "asleep"],
        ["partner", "entitle", "org_1", "--off-ramp=perhaps"],
        ["partner", "entitle", "org_1", "--notional-cap", "500"],
        ["key", "create", "org_1", "--kind", "master"],
        ["key", "scan"],
        ["key", "scan", "/nowhere/at/all"],
        ["key", "scan", "/", "/nowhere/at/all", "--json"],
        ["key", "rotate"],
        ["key", "rotate", "key_1", "--overlap", "a day"],
        ["key", "rotate", "key_1", "--overlap", "31d"],
        ["key", "rotate", "key_1", "--overlap", "-1h"],
        ["partner", "show"],
        ["payin", "org_1", "--currency", "EUR"],
        ["load", "--concurrency", "0"],
        ["trade", "resolve", "pt_test_1", "--reason", "nobody reports on it"],
        ["trade", "resolve", "pt_test_1", "--release"],
        ["source", "rotate", "acme", "--overlap-seconds", "604801"],
        ["endpoint", "rotate", "whk_1", "--overlap-seconds", "-1"],
        ["deliveries", "list", "--state", "lost"],
        ["deliveries", "list", "--since", "yesterday"],
        ["deliveries", "replay"],
        ["deliveries", "replay", "--endpoint", "whk_1"],
        ["deliveries", "replay", "whd_1", "--endpoint", "whk_1"],
        ["deliveries", "replay", "whd_1", "--state", "dead"],
        ["source", "create", "acme", "--scheme", "rot13"],
        ["source", "create"],
        ["fly"],
        ["journey", "a", "b"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2_and_says_so_on_stderr(words: list[str]) -> None:
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert "Usage" in shown.stderr


def test_a_stack_that_does_not_run_is_said_with_what_to_do(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["journey", "pt_test_1", "--data-dir", str(tmp_path)])
    assert shown.exit_code == 1
    assert "no stack is running" in str(shown.exception)
    assert "poolctl up --detach" in str(shown.exception)
