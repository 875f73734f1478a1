"""
Compared with KMeans
====================

Digits are images, and KMeans compares them pixel by pixel: a digit that leans or lies a pixel
further left is another one to it. MMDC learns from distorted images what a small distortion does
not change.
"""

# %%
# Three seeds
# -----------
# Labels never reach ``fit``; they score what came out. ACC is the share of images that are right
# under the best map from clusters to labels. A single run says little: look at several seeds. MMDC
# has a small network and few epochs here; how all methods do by their defaults stands in
# "Choosing a method".

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics.cluster import contingency_matrix

from skdeepcluster import MMDC
from skdeepcluster.metrics import clustering_accuracy

digits = load_digits()
quick = {"network": "mlp", "hidden_sizes": (256, 256), "max_epochs": 20}
seeds = range(3)

labels = {
    "KMeans": [KMeans(10, n_init=10, random_state=seed).fit_predict(digits.data) for seed in seeds],
    "MMDC": [MMDC(10, random_state=seed, **quick).fit_predict(digits.images) for seed in seeds],
}
for name, runs in labels.items():
    print(name, [round(clustering_accuracy(digits.target, run), 3) for run in runs])

# %%
# Which digits are taken for which
# --------------------------------
# Rows are digits, columns the clusters that stand for them. What lies beside the diagonal is wrong.

fig, axes = plt.subplots(1, 2, figsize=(7, 3.6), layout="constrained", sharey=True)
for ax, (name, runs) in zip(axes, labels.items(), strict=True):
    counts = contingency_matrix(digits.target, runs[0])  # (10, 10)
    _, order = linear_sum_assignment(counts, maximize=True)
    ax.imshow(counts[:, order], cmap="Blues")
    for i, j in np.argwhere(counts[:, order] >= 10):
        count = counts[i, order[j]]
        ax.text(j, i, count, ha="center", va="center", size=7, color="w" if count > 90 else "k")
    ax.set(title=f"{name}, seed 0", xlabel="cluster", xticks=range(10), xticklabels=order)
axes[0].set(ylabel="digit", yticks=range(10))
plt.show()
