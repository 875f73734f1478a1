"""Set up before any test module, and so before NumPy and torch, is imported."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # The processes share the cores already; threads of each on all cores would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
