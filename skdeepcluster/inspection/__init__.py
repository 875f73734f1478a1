"""Looking at clusters: displays in scikit-learn's manner, and a report to page through.

Displays need matplotlib, which comes with the extra ``plot``. Each has ``from_estimator`` and,
where labels are enough, ``from_predictions``; both draw and return the display, with the figure in
``figure_`` and its first axes in ``ax_``. ``plot`` draws it again, elsewhere or otherwise.
:func:`report` writes one HTML file.

See Also
--------
sklearn.metrics.ConfusionMatrixDisplay : A display of scikit-learn's.
"""

from skdeepcluster.inspection._choice import NClustersDisplay
from skdeepcluster.inspection._curves import TrainingCurvesDisplay
from skdeepcluster.inspection._embedding import EmbeddingDisplay
from skdeepcluster.inspection._gallery import GalleryDisplay
from skdeepcluster.inspection._generated import InterpolationDisplay, SamplesDisplay
from skdeepcluster.inspection._matrix import ClusterLabelDisplay
from skdeepcluster.inspection._report import report
from skdeepcluster.inspection._sizes import ClusterSizesDisplay

__all__ = [
    "ClusterLabelDisplay",
    "ClusterSizesDisplay",
    "EmbeddingDisplay",
    "GalleryDisplay",
    "InterpolationDisplay",
    "NClustersDisplay",
    "SamplesDisplay",
    "TrainingCurvesDisplay",
    "report",
]
