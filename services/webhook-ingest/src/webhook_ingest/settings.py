"""What the webhook-ingest service can be told."""

from pydantic import Field, SecretStr

from poolkit.errors import DOCUMENTATION_URL
from poolkit.settings import Address, ServiceSettings


class WebhookIngestSettings(ServiceSettings):
    """The common settings, where webhooks come in, the colleagues they concern, and how patiently they are retried."""

    webhook_listen: Address = Field(
        default="127.0.0.1:0", description="host:port for the webhooks of providers and banks"
    )
    encryption_key: SecretStr = Field(
        description="the key that encrypts sources' secrets: 32 bytes in URL-safe base64, several with commas to rotate"
    )
    documentation_url: str = Field(default=DOCUMENTATION_URL, description="where errors are explained")
    trade_address: Address = Field(description="host:port of the trade service")
    ledger_address: Address = Field(description="host:port of the ledger service")
    claim_seconds: float = Field(
        default=10.0, gt=0, le=600, description="seconds after which a try that went silent is taken over, up to 600"
    )
    retry_seconds_min: float = Field(default=0.5, gt=0, le=60, description="seconds before the second try, up to 60")
    retry_seconds_max: float = Field(
        default=60.0, gt=0, le=3600, description="seconds between tries at most, up to 3600"
    )
    refusals_max: int = Field(
        default=20, ge=1, le=1000, description="tries answered with no before a webhook is an exception, 1 to 1000"
    )
    refused_age_seconds_max: float = Field(
        default=86_400.0, gt=0, le=2_592_000, description="seconds after which a no is final, up to 2592000"
    )
    rejected_days: int = Field(default=30, ge=1, le=365, description="days that refused webhooks are kept, 1 to 365")
    provider_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="the settlement provider's status API, such as https://provider.example; empty asks nobody",
    )
    provider_token: SecretStr = Field(
        default=SecretStr(""), description="sent to the provider as `Authorization: Bearer`, unless empty"
    )
    provider_source: str = Field(
        default="settlement", description="the source under whose name the provider's answers are stored"
    )
    provider_seconds_max: float = Field(
        default=1.0, gt=0, le=30, description="seconds that the provider may take to answer, up to 30"
    )
    provider_pause_seconds: float = Field(
        default=1.0, gt=0, le=3600, description="seconds within which a trade is asked about once, up to 3600"
    )
    reserved_seconds_max: int = Field(
        default=600,
        ge=1,
        le=2_592_000,
        description="seconds after which reserved trades are asked about, up to 2592000",
    )
    overdue_pause_seconds: float = Field(
        default=60.0, gt=0, le=86_400, description="seconds between two such questions about a trade, up to 86400"
    )
