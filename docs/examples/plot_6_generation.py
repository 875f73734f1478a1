"""
Drawing new images
==================

``VariationalGMMClustering`` is a model of the data: a mixture of Gaussians in a latent space, and a
decoder. It draws new rows of a cluster, goes from one to another, and says how likely a row is.
"""

# %%
# Fit
# ---
# Four kinds of digits, briefly. All ten take a run of minutes; the page of the method shows it.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from skdeepcluster import VariationalGMMClustering

images = load_digits(n_class=4).images  # (720, 8, 8)
quick = {"hidden_sizes": (64, 64), "n_init": 2, "max_epochs": 60, "learning_rate": 0.002}
model = VariationalGMMClustering(n_clusters=4, random_state=0, **quick).fit(images)
print(np.bincount(model.labels_, minlength=4))


def show(lines, title):
    """Draw rows of images."""
    _, ax = plt.subplots(figsize=(6, 0.5 * len(lines) + 0.5), layout="constrained")
    lines = [np.hstack(np.pad(line, [(0, 0), (1, 1), (1, 1)])) for line in lines]
    ax.imshow(np.vstack(lines), cmap="gray_r")
    ax.set(xticks=[], yticks=[], title=title)
    plt.show()


# %%
# Sample
# ------
# A point is drawn from a cluster's Gaussian, and decoded. None of these images is in the data.

show([model.sample(12, cluster=k)[0] for k in range(4)], "drawn from each cluster")

# %%
# Interpolate
# -----------
# From the mean of one cluster to that of the next.

show([model.interpolate(k, (k + 1) % 4, steps=12) for k in range(4)], "from cluster to cluster")

# %%
# Rank
# ----
# ``score_samples`` says how likely each row is. The least likely ones are written in an unusual
# way: outliers.

order = np.argsort(model.score_samples(images))
show([images[order[:12]], images[order[-12:]]], "least likely above, most likely below")
