"""A distortion of the user's own, of which nothing is taken on trust."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class GivenAugmentation:
    """Apply a callable to a copy of a batch, and look at what it returns.

    Parameters
    ----------
    function : callable
        Maps a batch (n, ...) to another of the same shape; it may work in place.
    """

    function: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        """Return the distorted batch, of the shape, dtype and device of `x`.

        Raises
        ------
        TypeError
            If the callable returns something else than a tensor.
        ValueError
            If its shape is another.
        """
        distorted = self.function(x.clone())
        if not isinstance(distorted, Tensor):
            raise TypeError(
                f"augmentation must return a tensor, got a {type(distorted).__name__} from "
                f"{self.function!r}."
            )
        if distorted.shape != x.shape:
            raise ValueError(
                "augmentation must return a batch of the shape that it was given, "
                f"{tuple(x.shape)}, got {tuple(distorted.shape)} from {self.function!r}."
            )
        return distorted.to(x)


def checked(augmentation: Callable[[Tensor], Tensor] | None) -> GivenAugmentation | None:
    """Wrap a user's callable; None stays None."""
    return None if augmentation is None else GivenAugmentation(augmentation)
