"""
Every way to look
=================

``skdeepcluster.inspection`` has a display for each question about a clustering, in the manner of
scikit-learn's, and a report to page through. With labels it shows more; all but two displays do
without.
"""

# %%
# Fit
# ---
# ``DCCS``, on the digits. ``ScoreCurve`` writes the accuracy of each epoch to ``history_``, for
# labels that the training never sees: leave it out where there are none.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

from skdeepcluster import DCCS, VariationalGMMClustering
from skdeepcluster.callbacks import ScoreCurve
from skdeepcluster.inspection import (
    ClusterLabelDisplay,
    ClusterSizesDisplay,
    EmbeddingDisplay,
    GalleryDisplay,
    InterpolationDisplay,
    NClustersDisplay,
    SamplesDisplay,
    TrainingCurvesDisplay,
    report,
)

digits = load_digits()
images = digits.images  # (1797, 8, 8)
quick = {"max_epochs": 15, "n_critic": 2, "n_init": 1, "tol": 0}
curve = ScoreCurve(digits.target)
model = DCCS(n_clusters=10, callbacks=[curve], random_state=0, **quick).fit(images)

# %%
# What is in the clusters?
# ------------------------
# Each row is a cluster, beside it how many images it has. The least confident ones show first where
# a cluster holds more than one thing.

GalleryDisplay.from_estimator(model, images, order="least")
plt.show()

# %%
# How large are they, and how sure is the model?
# ----------------------------------------------

ClusterSizesDisplay.from_estimator(model, images)
plt.show()

# %%
# Which of them touch?
# --------------------
# The embedding in two dimensions: principal components, or ``reducer="tsne"``, or your own. With
# ``y`` the points have the colours of their labels.

EmbeddingDisplay.from_estimator(model, images)
plt.show()

# %%
# How did the training go?
# ------------------------
# A panel for each term of the objective. The critic's estimate comes down while the accuracy, which
# the training does not know, goes up: Fig. 3 of the paper of DCCS.

scored = [row for row in model.history_ if "acc" in row]
accuracy = {"ACC": ([row["epoch"] for row in scored], [row["acc"] for row in scored])}
terms = ["wasserstein", "augmentation"]
TrainingCurvesDisplay.from_estimator(model, metrics=accuracy, terms=terms)
plt.show()

# %%
# Do the clusters agree with labels?
# ----------------------------------
# Clusters stand in the order that matches the labels best: what is on the diagonal is right.

ClusterLabelDisplay.from_estimator(model, images, digits.target)
plt.show()

# %%
# What does a generative model make of its clusters?
# --------------------------------------------------
# ``VariationalGMMClustering`` draws from them, and goes from one to another: straight through the
# latent space (z), and by mixing the components (k).

four = load_digits(n_class=4).images
small = {"hidden_sizes": (64, 64), "n_init": 2, "max_epochs": 60, "learning_rate": 0.002}
mixture = VariationalGMMClustering(n_clusters=4, random_state=0, **small).fit(four)
SamplesDisplay.from_estimator(mixture)
InterpolationDisplay.from_estimator(mixture, pairs=[(0, 1), (2, 3)])
plt.show()

# %%
# How many clusters?
# ------------------
# A label-free score over a range of numbers; here of KMeans, which is fast. The numbers of an
# estimator of this package are searched in the same way.

rows = four.reshape(len(four), -1)
NClustersDisplay.from_estimator(KMeans(n_init=5, random_state=0), rows, range(2, 8))
plt.show()

# %%
# All of it in one file
# ---------------------
# ``report`` writes a page that a browser opens without a network: the clusters with their images,
# of which a click enlarges one, these pictures, parameters and versions.

with tempfile.TemporaryDirectory() as folder:
    path = report(model, images, Path(folder, "report.html"), y=digits.target, metrics=accuracy)
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
