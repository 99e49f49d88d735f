"""What the stack keeps in its data directory: right after a crash in the middle of writing it, and closed to others."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from poolctl.stack.failure import StackError
from poolctl.stack.layout import Layout
from poolctl.stack.lock import StackLock
from poolctl.stack.ports import Ports, free_port
from poolctl.stack.process import ProcessIdentity, log_tail
from poolctl.stack.programs import PROGRAMS, SERVICES, base_environment
from poolctl.stack.secrets import DevSecrets
from poolctl.stack.state import StackState, StatePublisher


def test_ports_are_remembered_and_distinct(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    names = [f"part{number}" for number in range(50)]
    ports = Ports(file)
    assert ports.choose(names) == {}
    chosen = {name: ports[name] for name in names}
    assert len(set(chosen.values())) == len(names)
    again = Ports(file)
    assert again.choose(names) == {}
    assert {name: again[name] for name in names} == chosen


def test_taken_port_is_chosen_again_and_told(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "ports.json").write_text(json.dumps({"quote.grpc": port}))
    ports = Ports(tmp_path / "ports.json")
    with socket.create_server(("127.0.0.1", port)):
        changed = ports.choose(["quote.grpc"])
    assert changed == {"quote.grpc": (port, ports["quote.grpc"])}
    assert ports["quote.grpc"] != port


@pytest.mark.parametrize("content", ["", "{", "[]", '{"quote": "x"}'])
def test_ports_file_cut_short_by_a_crash_is_made_again(tmp_path: Path, content: str) -> None:
    (tmp_path / "ports.json").write_text(content)
    ports = Ports(tmp_path / "ports.json")
    ports.choose(["quote"])
    assert Ports(tmp_path / "ports.json")["quote"] == ports["quote"]


def test_secrets_are_made_once_closed_to_others_and_extended_by_a_newer_version(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    made = DevSecrets.load_or_create(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert DevSecrets.load_or_create(file) == made
    assert made.key_pepper not in repr(made)

    older = json.loads(file.read_text())
    del older["bank_source_secret"]
    file.write_text(json.dumps(older))
    newer = DevSecrets.load_or_create(file)
    assert newer.key_pepper == made.key_pepper
    assert newer.bank_source_secret.startswith("whsec_")
    assert DevSecrets.load_or_create(file) == newer


@pytest.mark.parametrize("content", ["", "{", "[]", '{"phase": "running"}'])
def test_state_cut_short_by_a_crash_is_no_state(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    assert StackState.read(tmp_path / "state.json") is None


def test_state_is_read_as_it_was_told_and_closed_to_others(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    publisher = StatePublisher(file, StackState("starting", ProcessIdentity(1, 2.0)))
    publisher.say("quote", "starting")
    publisher.change(phase="running", addresses={"kafka": "127.0.0.1:1"})
    assert StackState.read(file) == publisher.state
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_failure_told_by_another_process_reads_the_same() -> None:
    failure = StackError("quote did not start", advice="Look.", log=Path("quote.log"), tail="why")
    assert str(StackError.from_json(failure.to_json())) == str(failure)
    assert str(failure) == "quote did not start\nLook.\nThe end of quote.log:\n  why"


def test_pid_file_of_a_process_whose_number_is_another_s_now_names_nobody(tmp_path: Path) -> None:
    me = ProcessIdentity.of(os.getpid())
    assert me is not None
    assert me.alive
    me.write(tmp_path / "part.pid")
    assert ProcessIdentity.read(tmp_path / "part.pid") == me
    assert not ProcessIdentity(me.pid, me.started - 1).alive


def test_lock_is_held_by_one_and_free_when_let_go(tmp_path: Path) -> None:
    first, second = StackLock(tmp_path / "lock"), StackLock(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire()
    holder = second.holder()
    assert holder is not None
    assert holder.pid == os.getpid()
    first.release()
    assert second.holder() is None
    assert second.acquire()
    second.release()


def test_log_tail_is_of_the_last_start_only(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n" + "new\n" * 3)
    assert log_tail(log, 2) == "new\nnew"
    assert log_tail(log, 20, since_byte=4) == "new\nnew\nnew"
    assert log_tail(tmp_path / "none") == ""


def test_data_directory_can_be_passed_by_the_database_s_user_and_holds_nothing_open_to_others(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path / "data")
    layout.create()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in layout.data_dir.iterdir()}
    assert stat.S_IMODE(layout.data_dir.stat().st_mode) == 0o711
    assert modes == {"postgres": 0o711, "kafka": 0o711, "logs": 0o700, "spans": 0o700, "run": 0o700}


def test_programs_get_none_of_the_caller_s_settings_but_those_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POOLS_DATABASE_URL", "postgresql://elsewhere")
    monkeypatch.setenv("PGPASSWORD", "secret")
    monkeypatch.setenv("POOLS_LOG_LEVEL", "debug")
    environment = base_environment()
    assert environment["POOLS_LOG_LEVEL"] == "debug"
    assert not {"POOLS_DATABASE_URL", "PGPASSWORD"} & set(environment)


def test_each_service_has_a_database_a_health_port_and_a_place_in_the_order() -> None:
    assert {program.name for program in SERVICES} == {"gateway", "quote", "trade", "webhook-ingest", "ledger"}
    assert all(program.database == program.module for program in SERVICES)
    assert all("health" in program.ports for program in PROGRAMS)
    assert len({program.purpose(port) for program in PROGRAMS for port in program.ports}) == sum(
        len(program.ports) for program in PROGRAMS
    )
