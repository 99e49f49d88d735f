"""Owns `poolctl trace`: the spans of a request as a tree with times, across processes and Kafka."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poolctl.commands.options import DEFAULT_DATA_DIR, DataDir, Json, print_json
from poolctl.deployment import refuse
from poolctl.failure import CommandFailure
from poolctl.stack.layout import Layout

if TYPE_CHECKING:
    from poolctl.tracing.tree import SpanNode


def command(
    request_id: Annotated[str, typer.Argument(metavar="REQUEST_ID", help="The request, req_….")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Shows what a request did, where, and how long each step took and waited; the stack need not be running.

    Example: poolctl trace req_01HZY0
    """
    layout = Layout.at(data_dir)
    refuse(layout, "`poolctl journey` tells the trace ids; open them where the deployment's collector sends traces.")
    roots = tree_of(layout.spans, request_id)
    if not roots:
        raise CommandFailure(
            f"no span of the request {request_id} is kept in {layout.spans}.\n"
            "A few new traces a second are recorded (POOLS_TRACE_SAMPLES_PER_SECOND_MAX for more); "
            "`poolctl journey` tells what every request did.",
            request_id=request_id,
        )
    if as_json:
        print_json(document_of(request_id, roots))
        return
    from poolctl.screen import console
    from poolctl.tracing.view import tree_view

    screen = console()
    screen.print(tree_view(roots, screen.width))


def tree_of(spans_directory: Path, request_id: str) -> "list[SpanNode]":
    """The request's spans as they hang together; empty when none is kept."""
    from poolctl.tracing.collect import read_request
    from poolctl.tracing.tree import build_tree

    return build_tree(read_request(spans_directory, request_id))


def document_of(request_id: str, roots: "list[SpanNode]") -> dict[str, Any]:
    """The spans in the order in which they are shown, parents before what hangs below them."""
    from poolctl.tracing.tree import walk

    nodes = list(walk(roots))
    began_ns = min((node.span.start_ns for node in nodes), default=0)
    return {
        "requestId": request_id,
        "traceIds": list(dict.fromkeys(node.span.trace_id for node in nodes)),
        "spans": [node.document(began_ns) for node in nodes],
    }
