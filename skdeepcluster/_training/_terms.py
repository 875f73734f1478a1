"""What the steps of an epoch have come to."""

from torch import Tensor


class StepTerms:
    """Terms of the steps of an epoch, by name, on their device.

    They are copied to a buffer for each name. As tensors of their own they would be small and live
    as long as the epoch, in the midst of large ones that come and go: these would find no place
    where they were before, and a process grow by gigabytes.

    Parameters
    ----------
    values : dict of str to Tensor of shape (n,) or None, default=None
        Those of earlier steps.
    """

    def __init__(self, values: dict[str, Tensor] | None = None) -> None:
        self._buffers = {name: value.clone() for name, value in (values or {}).items()}
        self._counts = {name: len(buffer) for name, buffer in self._buffers.items()}

    def add(self, terms: dict[str, Tensor]) -> None:
        """Append a step's terms, each a number; not every step has all of them."""
        for name, value in terms.items():
            n = self._counts.get(name, 0)
            buffer = self._buffers.get(name)
            if buffer is None or n == len(buffer):
                longer = value.new_empty(max(64, 2 * n))
                if buffer is not None:
                    longer[:n] = buffer
                self._buffers[name] = buffer = longer
            buffer[n] = value
            self._counts[name] = n + 1

    def stacked(self) -> dict[str, Tensor]:
        """Return each term's values, in the order of the steps."""
        return {
            name: buffer[: self._counts[name]].clone() for name, buffer in self._buffers.items()
        }
