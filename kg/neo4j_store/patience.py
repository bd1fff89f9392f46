"""Waits for the server no longer than a person is told it will take."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Argument = TypeVar("Argument")
Answer = TypeVar("Answer")


def call_within(seconds: float, call: Callable[[Argument], Answer], argument: Argument) -> Answer:
    """What `call(argument)` returns or raises.

    It runs in a thread of its own, since a socket that waits for an answer cannot be interrupted otherwise; one that
    is given up goes on until its connection ends, and does not keep the process alive.

    Raises:
        TimeoutError: there is no answer after so many seconds.
    """
    answers: list[Answer] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(call(argument))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError
    return answers[0]
