"""
Classes of unequal size
=======================

A long-tailed sampling of the digits has many zeros and few nines. Plain accuracy hardly notices
what becomes of the rare ones; the recall of each class does.
"""

# %%
# Sample
# ------
# Class k keeps ``ratio ** (-k / 9)`` of its rows. ``make_step_imbalanced`` and
# ``make_retention_imbalanced`` are the papers' other samplings.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

from skdeepcluster import StatDEC
from skdeepcluster.datasets import make_long_tailed
from skdeepcluster.metrics import balanced_clustering_accuracy, class_recall, clustering_accuracy

digits = load_digits()
X, y = make_long_tailed(digits.images, digits.target, ratio=20, random_state=0)
print(np.bincount(y))

# %%
# Cluster
# -------
# With so few images a network has little to learn from: trained as briefly as here it stays behind
# KMeans. Compare with it always.

quick = {"hidden_sizes": (200, 200), "pretrain_epochs": 40, "max_epochs": 20, "tol": 0}
models = {
    "KMeans": KMeans(10, n_init=10, random_state=0).fit(X.reshape(len(X), -1)),
    "StatDEC": StatDEC(10, random_state=0, **quick).fit(X),
}
for name, model in models.items():
    acc = clustering_accuracy(y, model.labels_)
    balanced = balanced_clustering_accuracy(y, model.labels_)
    print(f"{name:8} ACC {acc:.3f}, balanced ACC {balanced:.3f}")

# %%
# Look at each class
# ------------------
# The recall of a class is the share of its rows that are in the cluster that stands for it.

fig, (above, below) = plt.subplots(
    2, figsize=(7, 4.6), layout="constrained", sharex=True, height_ratios=[1, 2]
)
above.bar(range(10), np.bincount(y), color="tab:gray")
above.set_ylabel("images")
for i, (name, model) in enumerate(models.items()):
    below.bar(np.arange(10) + 0.4 * i - 0.2, class_recall(y, model.labels_), 0.38, label=name)
below.set(xlabel="digit", ylabel="recall", xticks=range(10), ylim=(0, 1.35))
below.legend(ncols=2, loc="upper center")
plt.show()
