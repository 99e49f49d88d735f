"""Owns `poolctl dlq`: what consumers set aside and why, what waits for another event, and sending letters once more."""

from typing import Annotated

import typer

from poolctl.commands import documents
from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.failure import CommandFailure
from poolctl.screen import console, table
from poolctl.session import Session, ask
from poolkit.dead_letters import Letter, Replayed, list_letters, replay_letters
from poolkit.errors import Unavailable
from poolkit.kafka import CONSUMING_SERVICES, Producer
from pools.ledger.v1 import inbox_pb2

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Shows and replays events that a consumer could not apply.\n\nExample: poolctl dlq list",
)
_SERVICE_WORDS = "|".join(CONSUMING_SERVICES)

Service = Annotated[
    str, typer.Option("--service", metavar=_SERVICE_WORDS, help="Only what this consumer set aside; else of all.")
]


@app.command("list")
def list_dead_letters(
    service: Service = "",
    waiting: Annotated[bool, typer.Option("--waiting", help="Only what nobody has replayed yet.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The most to show of each consumer.")] = 100,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Lists dead letters, newest first, and the events that the ledger has parked until another arrives.

    Example: poolctl dlq list --service ledger --waiting
    """
    services = _chosen(service)

    async def question(session: Session) -> tuple[list[documents.Document], list[documents.Document] | None]:
        letters: list[Letter] = []
        for name in services:
            letters += await list_letters(_broker(session), session.addresses.mode, name, limit=limit)
        letters.sort(key=lambda letter: letter.dead_lettered_at, reverse=True)
        shown = [_letter(letter) for letter in letters if not (waiting and letter.replayed_at)]
        return shown, await _parked(session, limit) if "ledger" in services else []

    letters, parked = ask(data_dir, question)
    if as_json:
        print_json({"deadLetters": letters, "parked": parked})
        return
    rows = table("letter", "event", "type", "reason", "from", "when", "replayed", title="Dead letters")
    for row in letters:
        place = f"{row['topic']}/{row['partition']}/{row['offset']}"
        rows.add_row(
            *(row["letterId"], row["eventId"], row["type"], f"{row['reason']}: {row['error']}", place),
            *(row["deadLetteredAt"], row["replayedAt"] or "no"),
        )
    console().print(rows)
    if parked is None:
        typer.echo("The ledger is out of reach: what it has parked is not shown.", err=True)
    elif parked:
        rows = table("event", "about", "waits for", "since", title="Parked by the ledger")
        for row in parked:
            missing = f"event number {row['missingNumber']}" if row["tradeId"] else "the pay-in"
            rows.add_row(row["eventId"], row["tradeId"] or row["type"], f"{missing} ({row['awaits']})", row["since"])
        console().print(rows)


@app.command("replay")
def replay(
    events: Annotated[
        list[str] | None, typer.Argument(metavar="[EVENT|LETTER]…", help="Event ids, or letters as `ledger/17`.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that nobody has replayed yet, oldest first.")] = False,
    service: Service = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The most to send from each consumer's.")] = 1_000,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Sends dead letters again to where they came from, each event once; do it after the fix.

    Whoever applied the event already takes no notice of it. What fails again comes back as a new letter.

    Example: poolctl dlq replay --all --service ledger
    """
    services, named = _chosen(service), set(events or ())
    if bool(named) is every:
        raise typer.BadParameter("name events or letters, or give --all.", param_hint="EVENT")

    def chosen(letter: Letter) -> bool:
        return letter.replayed_at is None if every else bool({letter.event_id, letter.letter_id} & named)

    async def question(session: Session) -> list[Replayed]:
        producer = Producer(_broker(session), client_id="poolctl")
        done: list[Replayed] = []
        sent: set[str] = set()
        try:
            for name in services:
                done += await replay_letters(
                    _broker(session),
                    session.addresses.mode,
                    name,
                    producer,
                    chosen=chosen,
                    sent=sent,
                    limit=limit,
                )
        finally:
            await producer.stop()
        return done

    done = ask(data_dir, question)
    missing = named - {each.letter.event_id for each in done} - {each.letter.letter_id for each in done}
    if missing:
        raise CommandFailure(f"No dead letter is {', '.join(sorted(missing))}; what else was named has been sent.")
    document = {
        "replayed": [_letter(each.letter) for each in done if not each.refusal],
        "refused": [{**_letter(each.letter), "why": each.refusal} for each in done if each.refusal],
    }
    if as_json:
        print_json(document)
    else:
        typer.echo(f"{len(document['replayed']):,} sent again.")
        for row in document["refused"]:
            typer.echo(f"{row['letterId']} was not sent: {row['why']}", err=True)
    if document["refused"]:
        raise typer.Exit(1)


def _broker(session: Session) -> str:
    if not session.addresses.kafka:
        raise CommandFailure(f"{session.addresses.layout.deployment_file} does not say where `kafka` is; add it.")
    return session.addresses.kafka


async def _parked(session: Session, limit: int) -> list[documents.Document] | None:
    request = inbox_pb2.ListParkedEventsRequest(page_size=min(limit, 1000))
    parked: list[documents.Document] = []
    try:
        while len(parked) < limit:
            page = await session.ledger.inbox.ListParkedEvents(request)
            parked += [documents.parked_event(row) for row in page.events]
            request.page_token = page.next_page_token
            if not request.page_token:
                break
    except Unavailable:
        return None
    return parked[:limit]


def _chosen(service: str) -> tuple[str, ...]:
    if not service:
        return CONSUMING_SERVICES
    if service not in CONSUMING_SERVICES:
        raise typer.BadParameter(f"{service!r} is none of {_SERVICE_WORDS}.", param_hint="--service")
    return (service,)


def _letter(letter: Letter) -> documents.Document:
    return {
        "letterId": letter.letter_id,
        "service": letter.service,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "eventId": letter.event_id,
        "type": letter.type,
        "organizationId": letter.organization_id,
        "requestId": letter.request_id,
        "reason": letter.reason,
        "error": letter.error,
        "deadLetteredAt": letter.dead_lettered_at.isoformat(),
        "replayedAt": letter.replayed_at.isoformat() if letter.replayed_at else None,
    }
