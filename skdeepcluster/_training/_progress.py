"""What a run shows while it goes on, by `verbose`."""

from skorch.callbacks import Callback
from tqdm.auto import tqdm

_SKIPPED = ("epoch", "phase", "seconds", "batches")


def _describe(row: dict) -> dict[str, str]:
    """Losses and measures of an epoch as short strings."""
    numbers = {key: value for key, value in row.items() if key not in _SKIPPED}
    return {key: f"{value:.4g}" for key, value in numbers.items() if isinstance(value, int | float)}


def _title(net) -> str:
    """Name of the task, and which phase of that name where there are several."""
    count = sum(phase.name == net.phase_.name for phase in net.phases_)
    return net.task_ if count == 1 else f"{net.task_} {net.phase_.stage + 1}/{count}"


def close(callbacks: list[tuple[str, Callback]]) -> None:
    """Let no bar stay open, also when the run ends by an exception."""
    for _, callback in callbacks:
        if isinstance(callback, ProgressBar):
            callback.close()


class ProgressBar(Callback):
    """One bar a phase, an epoch a tick, with the epoch's losses behind it (``verbose=1``).

    Where tasks take turns, the bar bears the name of the one that is running, and an epoch is done
    when each has had its own.
    """

    def on_epoch_begin(self, net, **kwargs):
        title = _title(net)
        if getattr(self, "phase_", None) != net.phase_:
            self.close()
            self.phase_ = net.phase_
            self.bar_ = tqdm(
                total=net.phase_.max_epochs // net.n_tasks,
                initial=net.task_epoch_,
                desc=title,
                unit="epoch",
            )
            self.title_ = title
        if title != self.title_:
            self.bar_.set_description(title)
            self.title_ = title

    def on_epoch_end(self, net, **kwargs):
        self.bar_.set_postfix(_describe(net.history[-1]), refresh=False)
        if (net.phase_epoch_ + 1) % net.n_tasks == 0:
            self.bar_.update()

    def close(self):
        """End the bar's line."""
        bar = self.__dict__.pop("bar_", None)
        if bar is not None:
            bar.close()
        self.phase_ = None

    def __getstate__(self):
        return {}


class EpochLog(Callback):
    """One line an epoch (``verbose=2`` and above)."""

    def __init__(self, sink=print):
        self.sink = sink

    def on_epoch_end(self, net, **kwargs):
        row = net.history[-1]
        terms = "  ".join(f"{key} {value}" for key, value in _describe(row).items())
        epoch = f"{net.task_epoch_ + 1}/{net.phase_.max_epochs // net.n_tasks}"
        self.sink(f"{_title(net)} epoch {epoch}  {terms}  {row['seconds']:.2f} s")
