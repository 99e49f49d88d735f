"""Owns making the topics of one mode before any service starts: `python -m poolkit.topics`, harmless to repeat."""

import asyncio
import sys
from typing import Literal

import structlog
from pydantic import Field
from pydantic_settings import BaseSettings

from poolkit.errors import Unavailable
from poolkit.kafka import ensure_topics
from poolkit.logs import configure_logging
from poolkit.settings import ServiceSettings, load

_log = structlog.get_logger(__name__)


class TopicSettings(BaseSettings):
    """Where the broker is, which mode's topics it shall have, and how many brokers keep each."""

    model_config = ServiceSettings.model_config

    mode: Literal["test", "live"] = Field(description="`test` or `live`; one deployment serves one mode")
    kafka_bootstrap: str = Field(min_length=1, description="the broker's host:port, several with commas")
    topic_replicas: int = Field(
        default=3, ge=1, le=9, description="brokers that keep each topic, 1 to 9; 1 where there is one broker"
    )


def main() -> None:
    """Exits 1 when no broker answers, or a topic exists with another number of partitions."""
    settings = load(TopicSettings)
    configure_logging("topics", "info", "json")
    try:
        asyncio.run(ensure_topics(settings.kafka_bootstrap, settings.mode, replication_factor=settings.topic_replicas))
    except (Unavailable, RuntimeError) as error:
        _log.critical("topics_failed", why=str(error))
        sys.exit(1)
    _log.info("topics_ready", mode=settings.mode)


if __name__ == "__main__":
    main()
