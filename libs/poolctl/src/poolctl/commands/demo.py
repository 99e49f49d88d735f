"""Owns `poolctl demo`: one trade from a partner's first key to the ledger, on a stack that comes and goes with it."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from poolctl.command_logs import log_to_stderr
from poolctl.commands.options import Json, print_json


def command(
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", metavar="DIR", help="Which stack; a temporary one unless named.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Shows one trade: onboarding, pay-in, quote, transact, settlement, webhook, ledger, journey and trace, with times.

    Starts a temporary stack and leaves nothing behind, unless --data-dir names one.

    Example: poolctl demo
    """
    log_to_stderr()
    try:
        document = asyncio.run(_demo(data_dir, as_json=as_json))
    except asyncio.CancelledError:
        raise typer.Exit(143) from None
    if as_json:
        print_json(document)


async def _demo(data_dir: Path | None, *, as_json: bool) -> dict[str, Any]:
    from poolctl.commands.trace import document_of as trace_document
    from poolctl.demo.narrator import Narrator
    from poolctl.demo.stage import stage
    from poolctl.demo.story import document_of, tell_story
    from poolctl.demo.views import last_line, ledger_view, legs_view
    from poolctl.journey_view import journey_view
    from poolctl.receiver import WebhookReceiver
    from poolctl.session import Session
    from poolctl.tracing.view import tree_view

    began = time.monotonic()
    narrator = Narrator(silent=as_json)
    narrator.heading("0Pools: from a price to the ledger")
    async with stage(data_dir, narrator) as addresses, WebhookReceiver() as receiver, Session(addresses) as session:
        told = await tell_story(session, receiver, narrator)
        narrator.heading("The partner's ledger")
        narrator.show(ledger_view(told))
        narrator.heading("Every leg that the trade posted")
        narrator.show(legs_view(told))
        narrator.heading(f"The journey of {told.trade['transactId']}")
        narrator.show(journey_view(told.journey))
        if told.spans:
            narrator.heading(f"The trace of its request {told.request_id}")
            narrator.show(tree_view(told.spans, narrator.width))
        narrator.say("")
    seconds = time.monotonic() - began
    narrator.say("")
    narrator.say(last_line(told, seconds), style="bold green")
    return {
        **document_of(told),
        "trace": trace_document(told.request_id, told.spans),
        "steps": [{"name": step.name, "seconds": round(step.seconds, 4)} for step in narrator.times],
        "seconds": round(seconds, 3),
    }
