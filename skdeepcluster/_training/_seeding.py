"""Random numbers and operations that can be repeated; global states stay as they were."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

#: Held by the fit whose random numbers are drawn: torch's generators are one for all threads. A
#: callback may fit, too.
_turn = threading.RLock()


def draw_seed(random_state: Any) -> int:
    """Draw a seed without touching numpy's global generator.

    None draws a fresh one, an int gives the same one always, a RandomState is advanced.
    """
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    return int(check_random_state(random_state).randint(2**31 - 1))


def in_turn(wanted: bool) -> AbstractContextManager:
    """Wait, if wanted, until no other thread of this process fits, and let none begin."""
    return _turn if wanted else nullcontext()


@contextmanager
def seeded(seed: int, device: str | torch.device) -> Iterator[None]:
    """Seed torch's global generators for a while, and restore them afterwards.

    Initialisers and dropout draw from the global generators. numpy's is never used.
    """
    device = torch.device(device)
    before = random_state(device)
    # torch.manual_seed would also seed the devices that this run does not use.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
    try:
        yield
    finally:
        set_random_state(before, device)


def random_state(device: str | torch.device) -> dict:
    """Return the states of torch's global generators, as tensors."""
    state = {"cpu": torch.get_rng_state()}
    if torch.device(device).type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif torch.device(device).type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict, device: str | torch.device) -> None:
    """Undo of :func:`random_state`; a state of a device that is not used is left aside."""
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and torch.device(device).type == "cuda":
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
    elif "mps" in state and torch.device(device).type == "mps":
        torch.mps.set_rng_state(state["mps"].cpu())


def check_deterministic(wanted: bool, device: str | torch.device) -> None:
    """Raise if CUDA was not told to be deterministic, which its libraries read once."""
    variable, values = "CUBLAS_WORKSPACE_CONFIG", (":4096:8", ":16:8")
    given = os.environ.get(variable)
    if wanted and torch.device(device).type == "cuda" and given not in values:
        raise ValueError(
            f"deterministic=True on CUDA needs the environment variable {variable} to be "
            f"{' or '.join(values)} before Python starts, but it is {given}."
        )


class _Switch:
    """One of torch's global switches while somebody needs it: threads may overlap."""

    def __init__(self, turn: Callable[[], Callable[[], None]]):
        self.turn = turn  # returns what turns it back
        self.lock = threading.Lock()
        self.n_users = 0

    def __enter__(self) -> None:
        with self.lock:
            if self.n_users == 0:
                self.turn_back = self.turn()
            self.n_users += 1

    def __exit__(self, *error) -> None:
        with self.lock:
            self.n_users -= 1
            if self.n_users == 0:
                self.turn_back()


def _to_deterministic() -> Callable[[], None]:
    before = torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    return lambda: torch.use_deterministic_algorithms(before, warn_only=only_warned)


def _to_float32() -> Callable[[], None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    return lambda: torch.set_default_dtype(before)


_deterministic, _float32 = _Switch(_to_deterministic), _Switch(_to_float32)


def deterministic_operations(wanted: bool) -> AbstractContextManager:
    """Let torch run only operations that give the same bits each time, for a while, if wanted."""
    return _deterministic if wanted else nullcontext()


@contextmanager
def for_training() -> Iterator[None]:
    """Let torch record gradients, and make float32, whatever the caller has switched on."""
    with torch.inference_mode(False), torch.enable_grad(), _float32:
        yield
