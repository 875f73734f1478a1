"""Result files whose scripts had forms of their own, read as rows of the form that all have now."""

SCORES = ("acc", "nmi", "ari")


def _scores(row, prefix=""):
    return {name: row[prefix + name] for name in SCORES if prefix + name in row}


def statdec_table(name, content):
    """``statdec_DATA_PROTOCOL``: seconds are of the processor."""
    data, protocol = name.removeprefix("statdec_").rsplit("_", 1)
    for row in content["rows"]:
        yield dict(setting=row["method"], data=data, protocol=protocol, seed=row["seed"],
                   scores=_scores(row), cpu_s=row["pretrain_s"] + row["seconds"],
                   epochs=row.get("epochs"))  # fmt: skip


def mmdc_table(name, content):
    """``mmdc_DATA`` and ``mmdc_DATA_2_epochs``."""
    data, *changed = name.removeprefix("mmdc_").split("_", 1)
    for row in content["rows"]:
        before = _scores(row, "before_")
        yield dict(setting=row["setting"], data=data, seed=row["seed"], scores=_scores(row),
                   n=row["n"] if changed else None, epochs=row.get("epochs"),
                   changed=f"max_epochs={changed[0].split('_')[0]}" if changed else "",
                   seconds=row.get("wall_s"), cpu_s=row.get("seconds"),
                   more={"before refinement": before} if before else {})  # fmt: skip


#: File names to what reads them.
RUNS = {
    "statdec_*_split.json": statdec_table,
    "statdec_*_joined.json": statdec_table,
    "mmdc_*.json": mmdc_table,
}
