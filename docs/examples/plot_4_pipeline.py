"""
In a pipeline, after PCA
========================

The estimators are transformers and clusterers, and stand anywhere that scikit-learn's do: here at
the end of a pipeline, behind a scaler and a principal component analysis, and before a classifier.
"""

# %%
# At the end
# ----------
# Columns that come from PCA are features: nothing of them is an image any more. ``scaling=None``
# leaves their proportions as PCA made them, so that the first components count most.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skdeepcluster import StatDEC
from skdeepcluster.metrics import clustering_accuracy

X, y = load_digits(return_X_y=True)
quick = {"hidden_sizes": (100, 100), "pretrain_epochs": 20, "max_epochs": 8, "tol": 0}

sizes = [2, 6, 16]
accuracy = []
for n_components in sizes:
    pipeline = make_pipeline(
        MinMaxScaler(),
        PCA(n_components, random_state=0),
        StatDEC(n_clusters=10, scaling=None, random_state=0, **quick),
    )
    accuracy.append(clustering_accuracy(y, pipeline.fit_predict(X)))

fig, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.plot(sizes, accuracy, "o-")
ax.set(xlabel="principal components", ylabel="ACC", xticks=sizes)
plt.show()

# %%
# In the middle
# -------------
# As a transformer, a clusterer that saw all images makes features for a classifier that has only a
# few labels: here 30 of 1,797.

clusterer = StatDEC(n_clusters=10, image_shape=(8, 8), random_state=0, **quick).fit(X)
few, rest = train_test_split(np.arange(len(X)), train_size=30, stratify=y, random_state=0)

for name, features in (("pixels", X / 16), ("embedding", clusterer.transform(X))):
    classifier = LogisticRegression(max_iter=2000).fit(features[few], y[few])
    print(f"{name:9} {classifier.score(features[rest], y[rest]):.3f}")
