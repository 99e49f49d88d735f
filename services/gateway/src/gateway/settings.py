"""What the gateway can be told."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator, model_validator

from gateway.app.rate_limits import RateLimit
from gateway.domain.deliveries import FAILING_SECONDS_MAX, RetrySchedule
from gateway.outbound.bounded import WAITING_MAX
from poolkit.security import Cipher
from poolkit.settings import Address, ServiceSettings

TEST_RETRY_SECONDS = (0.0, 1.0, 3.0, 10.0)
LIVE_RETRY_SECONDS = (0.0, 5.0, 60.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0)
ATTEMPTS_MAX = 8
JITTER = 0.1


class GatewaySettings(ServiceSettings):
    """The common settings, the partners' ports, the secrets of keys and webhooks, and where the colleagues are."""

    partner_grpc_listen: Address = Field(default="127.0.0.1:0", description="host:port for partners' gRPC calls")
    partner_rest_listen: Address = Field(default="127.0.0.1:0", description="host:port for partners' HTTP requests")
    key_pepper: SecretStr = Field(min_length=16, description="the secret that API keys are hashed with, 16 or more")
    encryption_key: SecretStr = Field(description="the Fernet key that webhook secrets are encrypted with")
    quote_address: Address = Field(description="host:port of the quote service")
    trade_address: Address = Field(description="host:port of the trade service")
    ledger_address: Address = Field(description="host:port of the ledger service")
    webhook_ingest_address: Address = Field(description="host:port of the webhook-ingest service")
    allow_private_endpoints: bool = Field(
        default=False, description="true to let webhooks go to private addresses and over http; for development"
    )
    call_seconds_max: float = Field(
        default=2.0, gt=0, le=30, description="seconds within which a partner is answered, up to 30"
    )
    key_calls_per_second: int = Field(default=500, ge=1, le=1_000_000, description="calls a second of one key")
    key_calls_burst: int = Field(default=1_000, ge=1, le=10_000_000, description="calls of a key at once, after a rest")
    organization_calls_per_second: int = Field(
        default=1_000, ge=1, le=1_000_000, description="calls a second of all keys of an organization"
    )
    organization_calls_burst: int = Field(
        default=2_000, ge=1, le=10_000_000, description="calls of all keys of an organization at once, after a rest"
    )
    waiting_calls_max: int = Field(
        default=WAITING_MAX,
        ge=1,
        le=100_000,
        description="calls waiting for one RPC of a colleague; more are refused as overloaded at once",
    )
    funding_ibans: dict[str, str] = Field(
        default_factory=dict, description="accounts partners pay in to by currency, as a JSON object; none is published"
    )
    documentation_url: str = Field(
        default="/docs/errors", description="where errors are explained; by default this gateway's own page"
    )
    delivery_retry_seconds: tuple[float, ...] | None = Field(
        default=None, description="seconds before each webhook attempt as a JSON list; the last is repeated"
    )
    delivery_attempts_max: int = Field(
        default=ATTEMPTS_MAX, ge=1, le=100, description="webhook attempts before a delivery is given up, 1 to 100"
    )
    endpoint_failing_seconds_max: float = Field(
        default=FAILING_SECONDS_MAX,
        ge=60,
        description="seconds of nothing but failed attempts after which an endpoint is disabled; five days",
    )

    @field_validator("encryption_key")
    @classmethod
    def _encrypts(cls, secret: SecretStr) -> SecretStr:
        Cipher(secret.get_secret_value())
        return secret

    @field_validator("delivery_retry_seconds")
    @classmethod
    def _is_schedule(cls, delays: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if delays is not None and (not delays or not all(0 <= delay <= 86_400 for delay in delays)):
            raise ValueError("it needs one or more delays, each 0 to 86400")
        return delays

    @model_validator(mode="after")
    def _private_endpoints_only_in_test(self) -> GatewaySettings:
        if self.allow_private_endpoints and self.mode != "test":
            raise ValueError(
                "POOLS_ALLOW_PRIVATE_ENDPOINTS is set in mode live, where webhooks could be led into our own network; "
                "unset it."
            )
        return self

    @property
    def key_rate_limit(self) -> RateLimit:
        """What one key may do."""
        return RateLimit(self.key_calls_per_second, self.key_calls_burst)

    @property
    def organization_rate_limit(self) -> RateLimit:
        """What all keys of an organization may do together."""
        return RateLimit(self.organization_calls_per_second, self.organization_calls_burst)

    @property
    def retry_schedule(self) -> RetrySchedule:
        """When webhooks are tried again; quickly in test mode, where people wait for it."""
        delays = self.delivery_retry_seconds or (TEST_RETRY_SECONDS if self.mode == "test" else LIVE_RETRY_SECONDS)
        return RetrySchedule(delays, self.delivery_attempts_max, JITTER)
