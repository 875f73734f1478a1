"""Seconds, memory and rates of this process."""

import resource
import sys
import threading
import time
from pathlib import Path

import torch


def anonymous_mb() -> float:
    """Anonymous memory of this process in MB (10^6 bytes): pages of a memory map do not count.

    Where the system does not tell, the largest resident set so far.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1000
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


class Watch:
    """Clock, processor time of all threads, and peak of the anonymous memory, within a block."""

    def __enter__(self):
        self.start_mb = self.peak_mb = anonymous_mb()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._clock, self._processor = time.perf_counter(), time.process_time()
        return self

    def _look(self):
        while not self._stop.wait(0.01):
            self.peak_mb = max(self.peak_mb, anonymous_mb())

    def __exit__(self, *exc):
        self.seconds = time.perf_counter() - self._clock
        self.cpu_s = time.process_time() - self._processor
        self._stop.set()
        self._thread.join()
        self.peak_mb = max(self.peak_mb, anonymous_mb())

    def memory(self) -> dict:
        """Peak, what there was before, and of a GPU the peak of the tensors."""
        found = {"peak_mb": self.peak_mb, "start_mb": self.start_mb}
        if torch.cuda.is_available():
            found["peak_gpu_mb"] = torch.cuda.max_memory_allocated() / 1e6
        return found


def synchronize(device: torch.device) -> None:
    """Wait for a GPU, whose clock runs on while ours has stopped."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Products:
    """Square matrix products for some tenths of a second: what tells a machine's rate.

    Parameters
    ----------
    dtype : torch.dtype
    device : torch.device
    seconds : float, default=0.2
        How long a call is to take, about.

    Attributes
    ----------
    flop : int
        Operations of a call.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device, seconds: float = 0.2):
        size = 8192 if device.type == "cuda" else 2048
        self.a, self.b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        self.count = 1
        for _ in range(2):  # the first one warms up
            synchronize(device)
            started = time.perf_counter()
            self()
            synchronize(device)
        self.count = max(1, round(seconds / (time.perf_counter() - started)))
        self.flop = 2 * size**3 * self.count

    def __call__(self) -> None:
        for _ in range(self.count):
            self.a @ self.b


def phase_seconds(history: list[dict]) -> dict[str, float]:
    """Seconds of training by phase, over all calls of a run that was resumed."""
    seconds = {}
    for row in history:
        seconds[row["phase"]] = seconds.get(row["phase"], 0.0) + row["seconds"]
    return seconds
