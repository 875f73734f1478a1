"""Tasks without labels that a trunk learns beside its own: prediction of rotations."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def rotations(x: Tensor) -> tuple[Tensor, Tensor]:
    """Turn the four quarters of a batch by 0, 90, 180 and 270 degrees.

    Parameters
    ----------
    x : Tensor of shape (4 n, C, S, S)

    Returns
    -------
    turned : Tensor of shape (4 n, C, S, S)
        The first n images as they are, the next n by 90 degrees, and so on.
    label : Tensor of shape (4 n,), int64
        Number of quarter turns.

    References
    ----------
    MMDC, section III-D; S. Gidaris, P. Singh, N. Komodakis, "Unsupervised Representation Learning
    by Predicting Image Rotations", ICLR 2018.

    Examples
    --------
    One image, turned all four ways:

    >>> import torch
    >>> from skdeepcluster.networks import rotations
    >>> x = torch.arange(4.0).reshape(1, 1, 2, 2)
    >>> turned, label = rotations(x.repeat(4, 1, 1, 1))
    >>> turned[1], label
    (tensor([[[1., 3.],
              [0., 2.]]]), tensor([0, 1, 2, 3]))
    """
    quarters = x.unflatten(0, (4, -1))  # (4, n, C, S, S)
    turned = torch.cat([torch.rot90(quarters[k], k, dims=(2, 3)) for k in range(4)])
    return turned, torch.arange(4, device=x.device).repeat_interleave(len(x) // 4)


class RotationTask(nn.Module):
    """Predict by how many quarter turns an image was turned (RotNet).

    This is what the auxiliary task of :class:`~skdeepcluster.MMDC` looks like, and another one may
    take its place: a module, made from the number of features, that is called with the trunk, a
    batch of images and a function that crops them at random, and returns its named terms, of which
    "loss" is what the trunk and the module itself are trained on.

    Each image is turned all four ways, and each time it is another random crop of it, so that the
    four share no borders that would tell them apart.

    Parameters
    ----------
    n_features : int
        Size of the trunk's features.

    References
    ----------
    MMDC, section III-D; Gidaris, Singh, Komodakis, "Unsupervised Representation Learning by
    Predicting Image Rotations" (2018).

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import ResNet, RotationTask
    >>> trunk, task = ResNet((3, 8, 8), blocks=(1, 1)), RotationTask(128)
    >>> sorted(task(trunk, torch.rand(4, 3, 8, 8), crop=lambda x: x))
    ['accuracy', 'loss']
    """

    #: What the history calls the task.
    name = "rotation"

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, 4)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def forward(
        self,
        trunk: Callable[[Tensor], Tensor],
        x: Tensor,
        crop: Callable[[Tensor], Tensor],
    ) -> dict[str, Tensor]:
        """Return the cross-entropy over the four turns of each image, and the share guessed.

        Parameters
        ----------
        trunk : callable
            Maps images (m, C, S, S) to features (m, n_features).
        x : Tensor of shape (n, C, H, W)
        crop : callable
            Maps images (m, C, H, W) to random crops of them, of shape (m, C, S, S).
        """
        turned, label = rotations(crop(x.repeat(4, 1, 1, 1)))
        logits = self.linear(trunk(turned)).float()  # (4 n, 4)
        guessed = (logits.argmax(dim=1) == label).float().mean()
        return {"loss": F.cross_entropy(logits, label), "accuracy": guessed}
