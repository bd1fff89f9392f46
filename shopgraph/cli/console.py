"""What people see: progress, tables and messages. Everything but a command's result goes to stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from ingest.progress import Progress, Station

PIPE_WIDTH = 180
"""Columns of a table that goes to a file or a pipe."""

err = Console(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)

PLAIN_SECONDS = 15.0
"""Where stderr is no terminal, a long station reports this often."""


class _PlainStation:
    def __init__(self, title: str, total: int | None, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done, self.remark = 0, ""
        self.spoke = time.monotonic()

    def advance(self, amount: int = 1) -> None:
        self.done += amount
        self._speak()

    def note(self, text: str) -> None:
        self.remark = text
        self._speak()

    def _speak(self) -> None:
        now = time.monotonic()
        if now - self.spoke >= PLAIN_SECONDS:
            self.spoke = now
            of = f"/{self.total:,}" if self.total else ""
            count = f"{self.done:,}{of} {self.unit} " if self.total or self.unit else ""
            print(f"  {self.title}: {count}{self.remark}".rstrip(), file=sys.stderr, flush=True)


class _BarStation:
    def __init__(self, bars: RichProgress, title: str, total: int | None, unit: str) -> None:
        self.bars, self.unit, self.remark = bars, unit, ""
        self.task = bars.add_task(title, total=total, remark="", unit=unit)

    def advance(self, amount: int = 1) -> None:
        self.bars.advance(self.task, amount)

    def note(self, text: str) -> None:
        self.remark = text
        self.bars.update(self.task, remark=text)


class ConsoleProgress:
    """Bars on a terminal, plain lines elsewhere; a finished station leaves one line with its seconds."""

    def __init__(self) -> None:
        self.bars: RichProgress | None = None

    @contextmanager
    def station(self, title: str, total: int | None = None, unit: str = "") -> Iterator[Station]:
        """Show `title` until the block ends; total units where known."""
        began = time.monotonic()
        if not err.is_terminal:
            plain = _PlainStation(title, total, unit)
            yield plain
            self._done(title, plain.remark, began)
            return
        outermost = self.bars is None
        if self.bars is None:
            columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn())
            tail = (TextColumn("{task.fields[unit]} {task.fields[remark]}", markup=False), TimeElapsedColumn())
            self.bars = RichProgress(*columns, *tail, console=err, transient=True)
            self.bars.start()
        bar = _BarStation(self.bars, title, total, unit)
        try:
            yield bar
            self._done(title, bar.remark, began)
        finally:
            self.bars.remove_task(bar.task)
            if outermost:
                self.bars.stop()
                self.bars = None

    def _done(self, title: str, remark: str, began: float) -> None:
        note = f"  {remark}" if remark else ""
        err.print(f"[green]✓[/] {title:<34} {time.monotonic() - began:7.1f} s{escape(note)}", markup=True)


def progress() -> Progress:
    """The progress of a command."""
    return ConsoleProgress()


def say(text: str) -> None:
    """A line for the person at the terminal (stderr)."""
    err.print(text, markup=False)


def emit_json(value: Any) -> None:
    """A machine-readable result (stdout)."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()) -> Table:
    """A table for the terminal; `right` names the columns aligned right."""
    made = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        made.add_column(Text(column), justify="right" if column in right else "left", overflow="fold")
    for row in rows:  # as Text: a title such as [bold] is no instruction to the terminal
        made.add_row(*(Text("" if value is None else str(value)) for value in row))
    return made
