"""Clusters as a table that spreadsheets may open."""

import csv
import io

import numpy as np

#: What a spreadsheet takes for the beginning of a formula, in their wide forms, too.
FORMULA = tuple("=+-@\t\r＝＋－＠")


def labels_csv(proba: np.ndarray, names: list[str] | None, *, are_files: bool) -> bytes:
    """Lay out name or row, cluster and confidence of each row.

    Parameters
    ----------
    proba : ndarray of shape (n, K)
        Probabilities.
    names : list of str or None
        None numbers the rows from 0 on.
    are_files : bool
        Whether names are paths, relative to the folder that was read.

    Returns
    -------
    bytes
        UTF-8. All names have quotes: what separates columns or ends a line differs by reader.
    """
    labels, confidence = proba.argmax(axis=1), proba.max(axis=1)
    first = range(len(proba)) if names is None else [_inert(name, are_files) for name in names]
    text = io.StringIO()
    text.write(f"{'row' if names is None else 'name'},cluster,confidence\n")
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for name, label, p in zip(first, labels.tolist(), confidence.tolist(), strict=True):
        writer.writerow([name, label, float(f"{p:.6g}")])
    return text.getvalue().encode()


def _inert(name: str, is_file: bool) -> str:
    """Keep a spreadsheet from running a name as a formula: files and mails come from strangers.

    A path stays one, of the same file; other names get an apostrophe, but for numbers.
    """
    if not name.lstrip().startswith(FORMULA) and not name.startswith(FORMULA):
        return name
    if is_file:
        return f"./{name}"
    try:
        float(name)
    except ValueError:
        return f"'{name}"
    return name
