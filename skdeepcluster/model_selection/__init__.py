"""Choosing without labels: scorers, the number of clusters, and a consensus of several seeds.

Scorers are what ``scoring=`` takes in scikit-learn's model selection, alone or several in a dict.
Rows without labels cannot be stratified, and files in folders are often sorted by class: let folds
be shuffled, by ``KFold(5, shuffle=True, random_state=0)`` or ``ShuffleSplit``. An int as `cv` is
not.
"""

from skdeepcluster.model_selection._consensus import ConsensusClusterer
from skdeepcluster.model_selection._n_clusters import choose_n_clusters
from skdeepcluster.model_selection._scorers import (
    SilhouetteScorer,
    StabilityScorer,
    objective_scorer,
    silhouette_scorer,
    stability_scorer,
)

__all__ = [
    "ConsensusClusterer",
    "SilhouetteScorer",
    "StabilityScorer",
    "choose_n_clusters",
    "objective_scorer",
    "silhouette_scorer",
    "stability_scorer",
]
