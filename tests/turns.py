"""Several processes' part of a data-parallel fit, played by threads of which one runs at a time.

Each runs until it has something to tell the others, then hands on, and takes its own random state
with it: what torch.distributed does, without processes, and so quick enough for many tests.
"""

import threading
from types import SimpleNamespace

import torch

from skdeepcluster import data_parallel
from skdeepcluster._training import _group


class Turns:
    """What stands for torch.distributed."""

    ReduceOp = SimpleNamespace(SUM="sum", MAX="max")

    def __init__(self, size: int):
        self.size = size
        self.local = threading.local()
        self.condition = threading.Condition()
        self.turn = 0
        self.done = [False] * size
        self.rounds: list[dict] = []
        self.error: BaseException | None = None

    def run(self, function) -> list:
        """Call ``function(rank)`` for each rank; return what they return."""
        results = [None] * self.size
        threads = [
            threading.Thread(target=self._play, args=(rank, function, results), daemon=True)
            for rank in range(self.size)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.error is not None:
            raise self.error
        return results

    def _play(self, rank, function, results):
        self.local.rank, self.local.count = rank, 0
        try:
            self._wait(rank)
            state = torch.get_rng_state()
            try:
                with data_parallel(
                    SimpleNamespace(
                        process_index=rank,
                        num_processes=self.size,
                        device=torch.device("cpu"),
                    )
                ):
                    results[rank] = function(rank)
            finally:
                torch.set_rng_state(state)
        except BaseException as error:
            self.error = self.error or error
        finally:
            with self.condition:
                self.done[rank] = True
                self._hand_on(rank)

    def _wait(self, rank):
        with self.condition:
            self.condition.wait_for(lambda: self.turn == rank or self.error is not None)
        if self.error is not None:
            raise RuntimeError("another rank failed") from self.error

    def _hand_on(self, rank):
        following = [(rank + i) % self.size for i in range(1, self.size + 1)]
        self.turn = next((r for r in following if not self.done[r]), rank)
        self.condition.notify_all()

    def exchange(self, what: str, value) -> list:
        """Tell the others, and return what all have told."""
        rank, count = self.local.rank, self.local.count
        self.local.count += 1
        if count == len(self.rounds):
            self.rounds.append({})
        told = self.rounds[count]
        told[rank] = (what, value)
        state = torch.get_rng_state()
        with self.condition:
            self._hand_on(rank)
        self._wait(rank)
        torch.set_rng_state(state)
        if len(told) != self.size or len({name for name, _ in told.values()}) != 1:
            raise AssertionError(f"the ranks are not at the same place: {told}")
        return [told[r][1] for r in range(self.size)]

    def all_reduce(self, tensor, op="sum"):
        values = self.exchange(f"all_reduce {tuple(tensor.shape)}", tensor.detach().clone())
        stacked = torch.stack(values)
        tensor.copy_(stacked.amax(dim=0) if op == "max" else stacked.sum(dim=0))

    def broadcast(self, tensor, src):
        tensor.copy_(self.exchange(f"broadcast {tuple(tensor.shape)}", tensor.clone())[src])

    def all_gather_object(self, out, value):
        out[:] = self.exchange("all_gather_object", value)

    def broadcast_object_list(self, objects, src, device=None):
        objects[:] = self.exchange("broadcast_object_list", list(objects))[src]


def together(size: int, function, monkeypatch) -> list:
    """Call ``function(rank)`` as each of so many processes, inside `data_parallel`."""
    turns = Turns(size)
    monkeypatch.setattr(_group, "distributed", turns)
    return turns.run(function)
