"""A folder that is about a deployment elsewhere: what it must say, and what is not done to one."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from poolctl.cli import app
from poolctl.session import running_stack

SERVICES = {name: f"{name}:9000" for name in ("gateway", "quote", "trade", "webhook-ingest", "ledger")}
SOUND: dict[str, Any] = {"mode": "live", "kafka": "kafka:9092", "services": SERVICES}


def folder(tmp_path: Path, told: Any) -> Path:
    (tmp_path / "deployment.json").write_text(told if isinstance(told, str) else json.dumps(told))
    return tmp_path


def test_it_says_where_everything_is_and_in_which_mode(tmp_path: Path) -> None:
    found = running_stack(folder(tmp_path, SOUND))
    assert (found.mode, found.kafka, found.services) == ("live", "kafka:9092", SERVICES)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ("{", "cannot be read as JSON"),
        ([], "it is to be an object"),
        ({"services": SERVICES}, "mode is missing"),
        ({**SOUND, "mode": "production"}, "mode is to be test or live"),
        ({**SOUND, "services": {"gateway": "gateway:9000"}}, "an address for each of gateway, quote"),
        ({**SOUND, "kafkas": ""}, "kafkas means nothing"),
    ],
    ids=["broken", "no object", "no mode", "another mode", "few services", "unknown"],
)
def test_what_does_not_say_that_is_refused_in_a_sentence(tmp_path: Path, told: Any, sentence: str) -> None:
    shown = CliRunner().invoke(app, ["journey", "pt_test_1", "--data-dir", str(folder(tmp_path, told))])
    assert shown.exit_code == 1
    assert sentence in str(shown.exception)


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (["up"], "about a deployment elsewhere"),
        (["up", "--detach"], "about a deployment elsewhere"),
        (["payin", "org_1", "--currency", "EUR", "--amount", "1.00"], "Banks tell a deployment"),
        (["load"], "among the real ones"),
        (["ledger", "rebuild"], "its own `ledger rebuild`"),
        (["certs"], "Its own CA"),
        (["trace", "req_1"], "tells the trace ids"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_what_is_for_a_stack_of_ones_own_is_not_done_to_it(tmp_path: Path, words: list[str], instead: str) -> None:
    directory = folder(tmp_path, SOUND)
    shown = CliRunner().invoke(app, [*words, "--data-dir", str(directory)])
    assert shown.exit_code == 1
    assert instead in str(shown.exception) + shown.output
    assert [file.name for file in directory.iterdir()] == ["deployment.json"], "nothing is left there"


def test_dead_letters_are_asked_for_only_where_the_broker_is_named(tmp_path: Path) -> None:
    told = {name: value for name, value in SOUND.items() if name != "kafka"}
    shown = CliRunner().invoke(app, ["dlq", "list", "--data-dir", str(folder(tmp_path, told))])
    assert shown.exit_code == 1
    assert "does not say where `kafka` is" in str(shown.exception)


def test_a_deployment_that_nobody_answers_from_shows_as_such(tmp_path: Path) -> None:
    nowhere = {**SOUND, "services": dict.fromkeys(SERVICES, "127.0.0.1:1")}
    shown = CliRunner().invoke(app, ["status", "--json", "--data-dir", str(folder(tmp_path, nowhere))])
    assert shown.exit_code == 0
    document = json.loads(shown.stdout)
    assert (document["running"], document["phase"]) == (False, "a deployment in mode live")
    assert {(part["running"], part["ready"]) for part in document["parts"].values()} == {(False, False)}
