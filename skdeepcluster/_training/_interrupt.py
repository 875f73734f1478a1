"""Ctrl-C that waits for the end of a step, and can be told from skorch's early stopping."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupt:
    """Whether the user has asked to stop."""

    requested = False


@contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Note the first Ctrl-C instead of raising it, and let a second one through.

    skorch stops early by raising KeyboardInterrupt from a callback. Inside this context, such an
    exception without `requested` is a callback's. Signals reach the main thread only, and a handler
    can be set there only: elsewhere nothing is changed. A handler that is not Python's own keeps
    its say: it is called, and what it raises is the user's wish.

    Yields
    ------
    Interrupt
        Its `requested` becomes True with the first Ctrl-C.
    """
    interrupt = Interrupt()
    previous = None
    if threading.current_thread() is threading.main_thread():
        previous = signal.getsignal(signal.SIGINT)
    if not callable(previous):  # another thread, or SIGINT is ignored, or not Python's to handle
        yield interrupt
        return

    def handler(signum, frame):
        if previous is signal.default_int_handler and not interrupt.requested:
            interrupt.requested = True
            return
        try:
            previous(signum, frame)
        except KeyboardInterrupt:
            interrupt.requested = True
            raise

    signal.signal(signal.SIGINT, handler)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, previous)
