"""Exit codes, and errors and warnings in one line."""

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator

import torch
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning

from skdeepcluster import CheckpointError

#: What a call ends with. Wrong words on the command line are 2 by argparse's custom.
DONE, USER_ERROR, USAGE_ERROR, INTERNAL_ERROR, INTERRUPTED = 0, 1, 2, 3, 130

#: Messages longer than this are cut to their first line: some give pages of advice on code.
LONGEST = 400


class UserError(Exception):
    """Something the user can put right; its text is all there is to show."""


#: What data, files, parameters and the machine can be to blame for.
USER_ERRORS = (
    UserError,
    OSError,
    ValueError,  # LoadError is one
    TypeError,
    FloatingPointError,
    MemoryError,
    torch.OutOfMemoryError,
    CheckpointError,
)


def say(text: str) -> None:
    """Tell the user on stderr, which keeps stdout for results."""
    print(text, file=sys.stderr, flush=True)


def one_line(message: object) -> str:
    """Put a message into one line."""
    text = str(message).strip()
    if len(text) > LONGEST:
        text = text.splitlines()[0]
    return " ".join(text.split())


def guarded(run: Callable[[], None], *, debug: bool) -> int:
    """Run, and return the exit code; whatever goes wrong is one line on stderr.

    Parameters
    ----------
    run : callable
    debug : bool
        Whether the traceback is shown, too.
    """
    try:
        with _plain_warnings():
            run()
            sys.stdout.flush()  # a reader who has left is noticed here, not when Python ends
        return DONE
    except KeyboardInterrupt as error:
        say(f"interrupted{f': {error}' if str(error) else ''}")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has enough of it
        # Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return USER_ERROR
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, USER_ERRORS):
            say(f"error: {one_line(error) or type(error).__name__}")
            return USER_ERROR
        hint = "" if debug else "; --debug shows where"
        say(f"internal error: {type(error).__name__}: {one_line(error)}{hint}")
        return INTERNAL_ERROR


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show what a run warns of in a line, and nothing that is for programmers."""

    def show(message, category, filename, lineno, file=None, line=None):
        say(f"warning: {one_line(message)}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for category in (ConvergenceWarning, DataConversionWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = show
        yield
