"""What the quote service can be told."""

from pydantic import Field

from poolkit.settings import ServiceSettings


class QuoteSettings(ServiceSettings):
    """The common settings, and how soon expired quotes are swept."""

    sweep_interval_seconds: float = Field(
        default=0.5, gt=0, le=60, description="seconds between two sweeps of expired quotes, up to 60"
    )
