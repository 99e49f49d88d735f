"""Settings are refused by name, in sentences, before anything starts; secrets are never shown."""

import os

import pytest
from pydantic import Field, SecretStr, ValidationError

from poolkit.settings import MigratorSettings, ServiceSettings, load

PASSWORD = "hunter2-never-shown"
DATABASE_URL = f"postgresql://quote_runtime:{PASSWORD}@127.0.0.1:5432/quote"


class SampleSettings(ServiceSettings):
    """What a service adds of its own."""

    key_pepper: SecretStr = Field(default=SecretStr("pepper-never-shown"), min_length=8, description="8 characters")
    recovery_claim_seconds: float = Field(default=5.0, gt=0, description="seconds, above 0")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("POOLS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("POOLS_MODE", "test")
    monkeypatch.setenv("POOLS_DATABASE_URL", DATABASE_URL)


def refusals(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The sentences that loading prints before it exits with status 2."""
    with pytest.raises(SystemExit) as ended:
        load(SampleSettings)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    headline, *sentences = printed.err.splitlines()
    assert headline == "The settings were refused:"
    return [sentence.strip() for sentence in sentences]


def test_what_is_set_is_read_and_the_rest_has_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POOLS_DATABASE_POOL_SIZE", "3")
    monkeypatch.setenv("POOLS_SPAN_DIRECTORY", "/spans")
    monkeypatch.setenv("POOLS_OTLP_ENDPOINT", "")
    settings = load(SampleSettings)
    assert (settings.mode, settings.database_pool_size, str(settings.span_directory)) == ("test", 3, "/spans")
    assert settings.database_url.get_secret_value() == DATABASE_URL
    assert settings.otlp_endpoint is None
    assert settings.grpc_listen == settings.health_listen == settings.metrics_listen == "127.0.0.1:0"
    assert settings.recovery_claim_seconds == 5.0


def test_secrets_are_not_in_the_repr() -> None:
    shown = f"{load(SampleSettings)!r} {load(SampleSettings)}"
    assert PASSWORD not in shown
    assert "pepper-never-shown" not in shown


def test_settings_cannot_change_while_the_service_runs() -> None:
    settings = load(SampleSettings)
    with pytest.raises(ValidationError):
        settings.mode = "live"


def test_unknown_variable_is_refused_by_name_with_a_guess(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POOLS_DATABSE_POOL_SIZE", "9")
    (sentence,) = refusals(capsys)
    assert sentence.startswith("POOLS_DATABSE_POOL_SIZE is not a setting of this service")
    assert sentence.endswith("did you mean POOLS_DATABASE_POOL_SIZE?")


def test_unknown_variable_like_no_other_gets_the_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POOLS_XYZZY", PASSWORD)
    (sentence,) = refusals(capsys)
    assert "POOLS_RECOVERY_CLAIM_SECONDS" in sentence
    assert PASSWORD not in sentence


def test_missing_variables_are_named_with_what_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("POOLS_MODE")
    monkeypatch.delenv("POOLS_DATABASE_URL")
    assert refusals(capsys) == [
        "POOLS_MODE is missing; set it to `test` or `live`; one deployment serves one mode.",
        "POOLS_DATABASE_URL is missing; set it to the postgresql:// URL of the service's runtime role.",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("POOLS_MODE", "production", "'test' or 'live'"),
        ("POOLS_GRPC_LISTEN", "50051", "not host:port"),
        ("POOLS_GRPC_LISTEN", "localhost:70000", "not host:port"),
        ("POOLS_GRPC_LISTEN", ":50051", "not host:port"),
        ("POOLS_DRAIN_SECONDS", "soon", "valid number"),
        ("POOLS_DRAIN_SECONDS", "-1", "greater than or equal to 0"),
        ("POOLS_DRAIN_SECONDS", "nan", "finite number"),
        ("POOLS_DATABASE_POOL_SIZE", "0", "greater than or equal to 1"),
        ("POOLS_LOG_LEVEL", "loud", "'debug'"),
        ("POOLS_LOG_FORMAT", "xml", "'json' or 'console'"),
        ("POOLS_TRACE_SAMPLES_PER_SECOND_MAX", "inf", "finite number"),
        ("POOLS_RECOVERY_CLAIM_SECONDS", "0", "greater than 0"),
    ],
)
def test_bad_value_is_refused_with_name_value_cause_and_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, why: str
) -> None:
    monkeypatch.setenv(variable, value)
    (sentence,) = refusals(capsys)
    assert sentence.startswith(f"{variable} is {value!r} that cannot be used (")
    assert why in sentence
    assert "; set it to " in sentence


@pytest.mark.parametrize(
    ("variable", "value"), [("POOLS_DATABASE_URL", "mysql://a:hunter2@b/c"), ("POOLS_KEY_PEPPER", "hunter2")]
)
def test_bad_secret_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    (sentence,) = refusals(capsys)
    assert sentence.startswith(f"{variable} has a value that cannot be used (")
    assert "hunter2" not in sentence


def test_all_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("POOLS_MODE", "sandbox")
    monkeypatch.setenv("POOLS_LOG_LEVL", "info")
    monkeypatch.setenv("POOLS_DATABASE_POOL_SIZE", "many")
    assert len(refusals(capsys)) == 3


def test_a_crash_point_is_refused_where_money_is_real(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POOLS_CRASHPOINT", "trade.after_hold")
    assert load(SampleSettings).crashpoint == "trade.after_hold"
    monkeypatch.setenv("POOLS_MODE", "live")
    (sentence,) = refusals(capsys)
    assert sentence.startswith("POOLS_CRASHPOINT is set in mode live")


def test_half_an_identity_is_refused_naming_the_other_half(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not load(SampleSettings).has_identity
    monkeypatch.setenv("POOLS_TLS_CERTIFICATE_FILE", "/certificate.pem")
    (sentence,) = refusals(capsys)
    assert sentence.startswith("POOLS_TLS_CERTIFICATE_FILE without POOLS_TLS_KEY_FILE and POOLS_TLS_CA_FILE proves")
    monkeypatch.setenv("POOLS_TLS_KEY_FILE", "/key.pem")
    monkeypatch.setenv("POOLS_TLS_CA_FILE", "/ca.pem")
    assert load(SampleSettings).has_identity


def test_where_money_is_real_nobody_is_reached_without_an_identity(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POOLS_MODE", "live")
    for loopback in ("127.0.0.1:9000", "localhost:9000", "[::1]:9000"):
        monkeypatch.setenv("POOLS_GRPC_LISTEN", loopback)
        assert not load(SampleSettings).has_identity
    monkeypatch.setenv("POOLS_GRPC_LISTEN", "0.0.0.0:9000")
    (sentence,) = refusals(capsys)
    assert "set POOLS_TLS_CERTIFICATE_FILE, POOLS_TLS_KEY_FILE and POOLS_TLS_CA_FILE" in sentence
    monkeypatch.setenv("POOLS_MODE", "test")
    assert load(SampleSettings).grpc_listen == "0.0.0.0:9000"


def test_validation_errors_that_slip_out_show_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POOLS_DATABASE_URL", f"mysql://a:{PASSWORD}@b/c")
    with pytest.raises(ValidationError) as refused:
        SampleSettings.model_validate({"mode": "test", "database_url": f"mysql://a:{PASSWORD}@b/c"})
    assert PASSWORD not in str(refused.value)


def test_serving_is_refused_the_url_that_only_migrating_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POOLS_MIGRATOR_DATABASE_URL", DATABASE_URL)
    (sentence,) = refusals(capsys)
    assert sentence == "POOLS_MIGRATOR_DATABASE_URL is for `migrate` alone, and serving must not hold it; unset it."


def test_migrating_needs_its_own_settings_only_and_lets_those_of_its_service_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("POOLS_MODE")
    monkeypatch.delenv("POOLS_DATABASE_URL")
    monkeypatch.setenv("POOLS_MIGRATOR_DATABASE_URL", DATABASE_URL)
    assert load(MigratorSettings, besides=SampleSettings).lock_timeout_ms == 5000
    monkeypatch.setenv("POOLS_KEY_PEPPER", "short")
    assert load(MigratorSettings, besides=SampleSettings).runtime_role == ""
    monkeypatch.setenv("POOLS_LOCK_TIMEOUT", "100")
    with pytest.raises(SystemExit):
        load(MigratorSettings, besides=SampleSettings)
    assert "did you mean POOLS_LOCK_TIMEOUT_MS?" in capsys.readouterr().err
