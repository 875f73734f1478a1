"""
Clustering, and looking at it
=============================

Clusters scikit-learn's digits without their labels, and shows what an unlabelled clustering can be
looked at by: the surest and the most doubtful images of each cluster, their sizes, and the
embedding.
"""

# %%
# Fit
# ---
# An estimator takes the images as they are. The settings called ``quick`` make a small network
# train briefly; for results, leave them out.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skdeepcluster import StatDEC

images = load_digits().images  # (1797, 8, 8)
quick = {"hidden_sizes": (200, 200), "pretrain_epochs": 30, "max_epochs": 20, "tol": 0}
model = StatDEC(n_clusters=10, random_state=0, **quick).fit(images)
print(model.labels_[:20])

# %%
# Look at the images
# ------------------
# ``predict_proba`` says how sure the model is of each row. A cluster that shows one thing on the
# left and the same on the right is a good one.

confidence = model.predict_proba(images)  # (1797, 10), rows sum to one
of_cluster = np.eye(10)[model.labels_] == 1  # (1797, 10)
surest = np.argsort(-confidence, axis=0)[:12]  # (12, 10)
doubtful = np.argsort(np.where(of_cluster, confidence, 2), axis=0)[:8]
tiles = np.pad(images, [(0, 0), (1, 1), (1, 1)])  # (1797, 10, 10): a border between them

fig, axes = plt.subplots(1, 2, width_ratios=[12, 8], figsize=(8, 4.4), layout="constrained")
for ax, rows, title in zip(
    axes, (surest, doubtful), ("most confident", "least confident"), strict=True
):
    ax.imshow(np.vstack([np.hstack(tiles[rows[:, k]]) for k in range(10)]), cmap="gray_r")
    ax.set(xticks=[], yticks=np.arange(10) * 10 + 4.5, yticklabels=range(10), title=title)
axes[0].set_ylabel("cluster")
plt.show()

# %%
# Look at the sizes
# -----------------
# A cluster that is much larger than the others may hold two groups; one without rows was not
# needed, or its group is in another.

sizes = np.bincount(model.labels_, minlength=10)
fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
ax.bar(range(10), sizes)
ax.set(xlabel="cluster", ylabel="images", xticks=range(10))
plt.show()

# %%
# Look at the embedding
# ---------------------
# ``transform`` gives what the clusters were made in. Clusters that touch here are where the model
# is in doubt; two dimensions show only part of it.

points = PCA(2, random_state=0).fit_transform(model.transform(images))  # (1797, 2)
fig, ax = plt.subplots(figsize=(6, 4.5), layout="constrained")
ax.scatter(*points.T, c=model.labels_, cmap="tab10", s=6)
for k, centre in enumerate(np.stack([points[model.labels_ == k].mean(axis=0) for k in range(10)])):
    ax.text(*centre, str(k), fontsize=14, weight="bold", ha="center", va="center")
ax.set(xticks=[], yticks=[])
plt.show()
