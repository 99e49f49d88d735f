"""What the sandbox is told by environment: where broker, webhook door and quote service are, and its secrets."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from poolkit.settings import PREFIX, Address
from poolkit.tls_settings import TlsSettings


class SandboxSettings(TlsSettings):
    """Test mode only: there is no simulated live money."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    mode: Literal["test"] = Field(description="`test`")
    kafka_bootstrap: str = Field(description="the broker's host:port")
    health_listen: Address = Field(default="127.0.0.1:0", description="host:port for gRPC health checks")
    provider_listen: Address = Field(default="127.0.0.1:0", description="host:port for status queries over HTTP")
    webhooks_url: str = Field(description="where webhook-ingest takes webhooks, such as http://127.0.0.1:8080")
    quote_address: Address = Field(description="host:port of the quote service")
    trade_address: Address | None = Field(
        default=None,
        description="host:port of the trade service, to be supplied with deposit addresses; none unless set",
    )
    settlement_source_secret: SecretStr = Field(description="the `whsec_…` the settlement provider signs with")
    bank_source_secret: SecretStr | None = Field(default=None, description="the bank's `whsec_…`")
    rate_jitter_bps: float = Field(default=0.0, ge=0, le=1000, description="how far rates stray, 0 (not) to 1000 bps")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="how much to log")
    otlp_endpoint: str | None = Field(default=None, description="where spans go")
    zipkin_endpoint: str | None = Field(default=None, description="where spans go as Zipkin JSON")
    span_directory: Path | None = Field(default=None, description="a directory that keeps spans on this machine")
    trace_samples_per_second_max: float = Field(default=5.0, ge=0, description="how many requests a second are traced")
