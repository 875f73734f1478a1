"""
Grid search with three scorers
==============================

Where some labels are known, ``acc_scorer``, ``nmi_scorer`` and ``ari_scorer`` compare predictions
with them, alone or all at once. ``fit`` never sees a label.
"""

# %%
# Search
# ------
# ``GridSearchCV`` passes rows, so ``image_shape`` says how they unfold. ``refit`` names the scorer
# that decides.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from skdeepcluster import StatDEC
from skdeepcluster.metrics import acc_scorer, ari_scorer, nmi_scorer

X, y = load_digits(n_class=5, return_X_y=True)  # (901, 64)
quick = {"hidden_sizes": (100, 100), "pretrain_epochs": 15, "max_epochs": 6, "tol": 0}
scoring = {"ACC": acc_scorer, "NMI": nmi_scorer, "ARI": ari_scorer}

search = GridSearchCV(
    StatDEC(n_clusters=5, image_shape=(8, 8), random_state=0, **quick),
    {"embedding_dim": [3, 10], "lam": [0.1, 0.9]},
    scoring=scoring,
    refit="NMI",
    cv=StratifiedKFold(2, shuffle=True, random_state=0),
)
search.fit(X, y)
print(search.best_params_)

# %%
# Look at all candidates
# ----------------------
# The points are the folds. Where their spread is as large as the difference between candidates, the
# search has not decided anything: take more folds, or several seeds.

results = search.cv_results_
names = [f"{p['embedding_dim']}\n{p['lam']}" for p in results["params"]]
fig, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained", sharex=True)
for ax, score in zip(axes, scoring, strict=True):
    folds = np.stack([results[f"split{i}_test_{score}"] for i in range(2)])  # (2, 4)
    ax.plot(folds.T, ".", color="tab:gray")
    ax.plot(results[f"mean_test_{score}"], "_", markersize=16)
    ax.set_xticks(range(len(names)), names)
    ax.set_title(score)
axes[0].set_xlabel("embedding_dim, lam")
plt.show()
