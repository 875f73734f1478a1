"""
A network of your own
=====================

``network`` takes a callable that gets the shape of one input and returns a module. Here an
autoencoder whose decoder is linear, so that an image is a sum of parts that can be looked at.
"""

# %%
# Define
# ------
# StatDEC wants ``encode`` and ``decode``; ``q`` are the soft assignments to clusters, which this
# decoder takes no notice of. What each method wants stands in the guide.

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from skdeepcluster import StatDEC


class Parts(nn.Module):
    """An autoencoder with a linear decoder of parts that are added up."""

    def __init__(self, shape, n_parts=12):
        super().__init__()
        n = math.prod(shape)
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(n, 200), nn.ReLU(), nn.Linear(200, n_parts), nn.Softplus()
        )
        self.parts = nn.Parameter(torch.randn(n_parts, n) / n)
        self.shape = shape

    def encode(self, x):
        """Say how much of each part is in an image."""
        return self.encoder(x)

    def decode(self, z, q=None):
        """Add up the parts."""
        return (z @ self.parts.relu()).unflatten(1, self.shape)


# %%
# Fit
# ---
# The class is the callable. Centres, targets and training are StatDEC's.

images = load_digits().images
model = StatDEC(
    n_clusters=10, network=Parts, pretrain_epochs=40, max_epochs=15, tol=0, random_state=0
).fit(images)

# %%
# Look
# ----
# The trained module is ``net_.module_``. Its parts, and what its centres are made of:

parts = model.net_.module_.parts.detach().cpu().relu().numpy()
centres = model.inverse_transform(model.cluster_centers_)  # (10, 8, 8)
fig, (above, below) = plt.subplots(2, figsize=(7, 2.2), layout="constrained")
above.imshow(np.hstack(np.pad(parts.reshape(-1, 8, 8), [(0, 0), (1, 1), (1, 1)])), cmap="gray_r")
above.set(xticks=[], yticks=[], title="parts")
below.imshow(np.hstack(np.pad(centres, [(0, 0), (1, 1), (1, 1)])), cmap="gray_r")
below.set(xticks=[], yticks=[], title="centres")
plt.show()

# %%
# Save
# ----
# A file has the weights, not the code: ``skdeepcluster.load(path, network=Parts)`` needs it again.
