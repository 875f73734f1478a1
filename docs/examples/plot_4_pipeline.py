"""
In a pipeline, after PCA
========================

The estimators stand anywhere that scikit-learn's do: here at the end of a pipeline, behind a scaler
and a principal component analysis.
"""

# %%
# Columns that come from PCA are features: nothing of them is an image any more. ``scaling=None``
# leaves their proportions as PCA made them, so that the first components count most.

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
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
