"""Owns a stack that lives as long as its command: signals stop it in order, whatever it is doing."""

import asyncio
import signal

from poolctl.command_logs import log_to_stderr
from poolctl.commands.up_display import Display
from poolctl.stack.layout import Layout
from poolctl.stack.remote import wait_for_another
from poolctl.stack.supervisor import STACK, AlreadyRunning, Stack


async def run_in_foreground(
    layout: Layout, *, restart: bool, zipkin: bool, mtls: bool | None, display: Display
) -> None:
    """Starts, shows the addresses, and stops when told to by SIGINT, SIGTERM or SIGHUP."""
    log_to_stderr()
    stack = Stack(layout.data_dir, restart=restart, zipkin=zipkin, mtls=mtls, say=display.say)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, told.set)
    starting = asyncio.create_task(stack.start(), name="start")
    waiting = asyncio.create_task(told.wait(), name="told to stop")
    await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        display.say(STACK, "told to stop before it was ready")
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        raise SystemExit(130)
    try:
        display.addresses(await starting)
    except AlreadyRunning:
        waiting.cancel()
        display.addresses(await wait_for_another(layout, display.say))
        return
    display.say(STACK, "Ctrl-C stops it")
    await waiting
    await stack.stop()
