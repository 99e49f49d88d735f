"""Owns how the demo speaks: one line a step with its time, the same on a terminal, in a file and in a CI log."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poolctl.screen import console, seconds_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_TITLE_WIDTH = 13
_TIME_WIDTH = 8


@dataclass(frozen=True, slots=True)
class StepTime:
    """How long a step took."""

    name: str
    seconds: float


class Step:
    """A step under way; what it has to tell is added as it becomes known."""

    def __init__(self, title: str, show: Callable[[str], None]) -> None:
        self.title = title
        self.words = ""
        self._show = show

    def tell(self, words: str) -> None:
        """What the line says behind the title."""
        self.words = words
        self._show(f"{self.title:<{_TITLE_WIDTH}} {words}")


class Narrator:
    """Prints a line when a step is done; on a terminal something moves meanwhile. Silent for `--json`."""

    def __init__(self, *, silent: bool) -> None:
        self.times: list[StepTime] = []
        self._screen: Console | None = None if silent else console()

    @property
    def width(self) -> int:
        """Columns there are."""
        return self._screen.width if self._screen is not None else 0

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Times what happens inside, and tells of it when it is done."""
        began = time.monotonic()
        if self._screen is not None and self._screen.is_terminal:
            with self._screen.status(title, spinner="dots", spinner_style="cyan") as moving:
                step = Step(title, moving.update)
                yield step
        else:
            step = Step(title, lambda words: None)
            yield step
        self.times.append(StepTime(title, time.monotonic() - began))
        self._print_step(step, self.times[-1].seconds)

    def heading(self, words: str) -> None:
        """A title over what follows."""
        if self._screen is not None:
            self._screen.print()
            self._screen.print(words, style="bold")

    def show(self, view: "RenderableType") -> None:
        """Anything that rich can print."""
        if self._screen is not None:
            self._screen.print(view)

    def say(self, words: str, style: str = "") -> None:
        """A line."""
        if self._screen is not None:
            self._screen.print(words, style=style, soft_wrap=True)

    def _print_step(self, step: Step, seconds: float) -> None:
        from rich.table import Table
        from rich.text import Text

        if self._screen is None:
            return
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(width=1)
        grid.add_column(width=_TITLE_WIDTH)
        grid.add_column(ratio=1, overflow="fold")
        grid.add_column(width=_TIME_WIDTH, justify="right")
        grid.add_row(
            Text("✓", style="green"),
            Text(step.title, style="bold"),
            Text(step.words),
            Text(seconds_text(seconds), "dim"),
        )
        self._screen.print(grid)
