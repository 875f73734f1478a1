"""Set up before any test module, and so before NumPy and torch, is imported."""

import os
import signal

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # The processes share the cores already; threads of each on all cores would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Without it, Intel's MKL on AMD's processors rounds some products by a row's place among others.
os.environ.setdefault("MKL_CBWR", "AUTO")


@pytest.fixture
def sigint():
    """Python's own handler of Ctrl-C, where a shell's background had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
