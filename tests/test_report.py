"""The report is one whole file that shows what it was given, as text, in a real browser."""

import base64
import io
import json
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import browser  # noqa: F401
from fixed import Fixed
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture

from skdeepcluster.inspection import report

HOSTILE = [
    "<script>document.title = 'taken'</script>",
    "</script><script>document.title = 'taken'</script>",
    "<!--<script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "\"quotes' &amp; & </bdi></td>",
    "🦊 fox/🐱.png",
    "\u202egnp.reversed",
    "half\udcff.png",
    "nul\x00 and \x1b.png",
    "line\u2028separator",
    "$x^2$",
]


def fixed(n=130, n_clusters=3, seed=0):
    """Answers for n rows: the first cluster is the largest, the last the most confident."""
    rng = np.random.default_rng(seed)
    share = np.arange(n_clusters, 0, -1) ** 2
    labels = rng.choice(n_clusters, n, p=share / share.sum())
    top = 0.5 + 0.4 * (labels + rng.random(n)) / n_clusters
    proba = np.full((n, n_clusters), 0.0)
    proba += ((1 - top) / max(1, n_clusters - 1))[:, None]
    proba[np.arange(n), labels] = top
    return Fixed(proba, rng.normal(size=(n, 2)))


def pictures(n=130, height=8, width=6, color=False):
    """Images that differ from each other."""
    shape = (n, height, width, 3) if color else (n, height, width)
    return np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)


class Parts(HTMLParser):
    """What a page is made of."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.tags, self.inside = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.inside = True
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "script"

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1] += data


def data_of(path):
    """What the page's script gets."""
    parts = Parts(path.read_text(encoding="utf-8"))
    assert len(parts.scripts) == 2
    return json.loads(parts.scripts[0])


def tile(data, place):
    """One image of the sheets, decoded."""
    images = data["images"]
    sheet, within = divmod(place, images["perSheet"])
    row, column = divmod(within, images["columns"])
    content = base64.b64decode(images["sheets"][sheet].split(",")[1])
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    h, w = images["height"], images["width"]
    return pixels[row * h : (row + 1) * h, column * w : (column + 1) * w]


@pytest.mark.parametrize("color", [False, True])
def test_each_image_is_there_unchanged_by_cluster_and_confidence(tmp_path, color):
    model, X = fixed(700), pictures(700, color=color)
    data = data_of(report(model, X, tmp_path / "a.html"))
    labels, confidence = model.proba.argmax(axis=1), model.proba.max(axis=1)
    index = np.array(data["rows"]["index"])
    assert sorted(index) == list(range(700))
    assert len(data["images"]["sheets"]) > 1
    for cluster in data["clusters"]:
        part = index[cluster["start"] : cluster["start"] + cluster["shown"]]
        assert set(part) == set(np.flatnonzero(labels == cluster["number"]))
        assert (np.diff(confidence[part]) <= 0).all()
    for place in (0, 1, 249, 250, 251, 699):
        expected = X[index[place]] if color else np.repeat(X[index[place], ..., None], 3, axis=2)
        np.testing.assert_array_equal(tile(data, place), expected)


def test_of_too_many_rows_the_ends_of_large_clusters_are_taken(tmp_path):
    model, X = fixed(400), pictures(400)
    data = data_of(report(model, X, tmp_path / "a.html", max_images=100))
    labels, confidence = model.proba.argmax(axis=1), model.proba.max(axis=1)
    shown = [cluster["shown"] for cluster in data["clusters"]]
    assert sum(shown) == 100
    for cluster in data["clusters"]:
        members = np.flatnonzero(labels == cluster["number"])
        assert cluster["size"] == len(members)
        part = data["rows"]["index"][cluster["start"] :][: cluster["shown"]]
        ordered = members[np.argsort(-confidence[members], kind="stable")]
        assert part[0] == ordered[0]
        assert part[-1] == ordered[-1]
        # Small clusters are whole; of others there are as many of each, up to what is over.
        assert cluster["shown"] in (len(members), max(shown), max(shown) - 1)


@pytest.mark.parametrize("max_images", [1, 2, 4])
def test_of_more_clusters_than_images_the_largest_have_one(tmp_path, max_images):
    model, X = fixed(400, 5), pictures(400)
    data = data_of(report(model, X, tmp_path / "a.html", max_images=max_images))
    sizes = np.bincount(model.proba.argmax(axis=1), minlength=5)
    assert len(set(sizes)) == 5
    largest = set(np.argsort(-sizes)[:max_images])
    assert [c["shown"] for c in data["clusters"]] == [int(k in largest) for k in range(5)]
    assert [c["size"] for c in data["clusters"]] == sizes.tolist()


@pytest.mark.parametrize("n, side", [(300, 16), (12, 150)])
def test_images_give_way_until_the_file_is_small_enough(tmp_path, n, side):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (n, 5, 5, 3)).astype(np.uint8)
    X = np.stack([np.asarray(Image.fromarray(x).resize((side, side))) for x in coarse])
    noisy = (X + rng.integers(0, 40, X.shape)).clip(0, 255).astype(np.uint8)
    path = tmp_path / "a.html"
    size = report(fixed(n), noisy, path).stat().st_size
    limit = 0.6 * size
    assert report(fixed(n), noisy, path, max_megabytes=limit / 1e6).stat().st_size < limit


@pytest.mark.slow
def test_ten_thousand_images_are_under_five_megabytes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (10_000, 32, 32, 3)).astype(np.uint8)
    names = [f"folder/of/photographs/{i:06}.jpeg" for i in range(10_000)]
    path = report(fixed(10_000, 20), noise, tmp_path / "a.html", names=names)
    assert path.stat().st_size < 5e6


def test_hostile_text_stays_text(tmp_path):
    n = 60
    names = [HOSTILE[i % len(HOSTILE)] for i in range(n)]
    y = np.array(HOSTILE)[np.arange(n) % len(HOSTILE)]
    model = fixed(n)
    path = report(model, pictures(n), tmp_path / "a.html", y=y, names=names, title=HOSTILE[0])
    parts = Parts(path.read_text(encoding="utf-8"))
    assert len(parts.scripts) == 2
    data = json.loads(parts.scripts[0])
    kept = [i for i, name in enumerate(HOSTILE) if name.isprintable() or "🦊" in name]
    for place, index in enumerate(data["rows"]["index"]):
        shown = data["rows"]["names"][place]
        label = data["labels"][data["rows"]["labels"][place]]
        if index % len(HOSTILE) in kept:
            assert shown == names[index] == label
        assert not {"\x00", "\x1b", "\udcff"} & set(shown)
    # Nothing is loaded from anywhere.
    for tag, attributes in parts.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("data:image/", "#"))


def test_names_are_those_of_the_rows_however_they_are_indexed(tmp_path):
    pd = pytest.importorskip("pandas")
    names = [f"{i}.png" for i in range(60)]
    series = pd.Series(names, index=np.arange(60)[::-1])
    data = data_of(report(fixed(60), pictures(60), tmp_path / "a.html", names=series))
    assert data["rows"]["names"] == [names[i] for i in data["rows"]["index"]]


def test_names_take_no_more_bytes_than_utf8_gives_them(tmp_path):
    def size(letter):
        names = [letter * 300] * 60
        path = report(fixed(60), pictures(60), tmp_path / "a.html", names=names)
        assert data_of(path)["rows"]["names"] == names
        return path.stat().st_size

    assert size("漢") - size("a") == 60 * 300 * 2


def test_features_have_a_table_and_what_sets_clusters_apart(tmp_path):
    X = np.random.default_rng(0).normal(size=(90, 4))
    labels = np.arange(90) % 3
    X[labels == 1, 2] += 20
    model = Fixed(np.eye(3)[labels], X)
    data = data_of(report(model, X, tmp_path / "a.html"))
    assert data["images"] is None
    name, score = data["clusters"][1]["features"][0]
    assert name == "feature 2"
    assert score == pytest.approx((X[labels == 1, 2].mean() - X[:, 2].mean()) / X[:, 2].std(), 0.01)


def test_estimators_without_probabilities_will_do(tmp_path):
    X = pictures(90).reshape(90, -1)
    model = KMeans(3, n_init=1, random_state=0).fit(X)
    path = report(model, X, tmp_path / "a.html", image_shape=(8, 6))
    data = data_of(path)
    assert data["rows"]["confidence"] is None
    assert [c["size"] for c in data["clusters"]] == np.bincount(model.labels_).tolist()


def test_what_samples_from_all_components_has_no_picture_of_it(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 3))
    model = GaussianMixture(2, random_state=0).fit(X)
    text = report(model, X, tmp_path / "a.html").read_text(encoding="utf-8")
    assert "Sizes and confidence" in text
    assert "Samples of each cluster" not in text


def test_without_matplotlib_the_report_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = report(fixed(), pictures(), tmp_path / "a.html").read_text(encoding="utf-8")
    assert "pip install &#x27;skdeepcluster[plot]&#x27;" in text
    assert "<figure>" not in text


def test_parameters_tell_what_is_no_default(tmp_path):
    X = pictures(60).reshape(60, -1)
    model = KMeans(3, n_init=1, random_state=0).fit(X)
    text = report(model, X, tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<tr class=changed><th>n_clusters</th><td>3</td></tr>" in text
    assert "<tr><th>max_iter</th><td>300</td></tr>" in text


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"names": ["a"]}, r"names must have 130 entries.* got 1\."),
        ({"y": [0, 1]}, r"y must have 130 entries.* got 2\."),
        ({"max_images": 0}, "max_images must be at least 1"),
        ({"max_megabytes": 0}, "max_megabytes must be a finite number"),
        ({"image_shape": (6, 8)}, r"image_shape=\(6, 8\) does not fit"),
    ],
)
def test_bad_input_is_named_and_leaves_the_file_alone(tmp_path, arguments, message):
    path = tmp_path / "a.html"
    path.write_text("before")
    with pytest.raises(ValueError, match=message):
        report(fixed(), pictures(), path, **arguments)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_work_is_found_before_the_work(tmp_path):
    with pytest.raises(NotFittedError):
        report(Fixed(), pictures(), tmp_path / "a.html")
    with pytest.raises(FileNotFoundError):
        report(fixed(), pictures(), tmp_path / "missing" / "a.html")


# ---------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def shown(browser, tmp_path_factory):  # noqa: F811
    """A page of 13 clusters of 1,300 images with hostile names, in the browser."""
    n = 1300
    model, X = fixed(n, 13), pictures(n)
    order = np.argsort(-model.proba.max(axis=1), kind="stable")
    names = np.array([f"{i:04}.png" for i in range(n)], dtype=object)
    names[order[: len(HOSTILE)]] = HOSTILE
    y = np.array(HOSTILE)[model.proba.argmax(axis=1) % len(HOSTILE)]
    path = tmp_path_factory.mktemp("report") / "a.html"
    report(model, X, path, y=y, names=names)
    return browser, path.as_uri(), model, X


@pytest.fixture
def page(shown):
    """The page as it opens."""
    driver, uri, *_ = shown
    driver.get(uri)
    return driver


def wait(driver, script):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, 60).until(lambda d: d.execute_script("return " + script))


def click(driver, selector):
    driver.execute_script(f"document.querySelector({json.dumps(selector)}).click()")


def choose(driver, select, value):
    driver.execute_script(
        "const s = document.getElementById(arguments[0]); s.value = arguments[1];"
        "s.dispatchEvent(new Event('change'));",
        select,
        value,
    )


def clusters(driver):
    script = "return [...document.querySelectorAll('.cluster')].map(c => +c.dataset.cluster)"
    return driver.execute_script(script)


def tiles(driver):
    script = "return [...document.querySelectorAll('.cluster .tile')].map(t => +t.dataset.row)"
    return driver.execute_script(script)


def test_clusters_are_sorted_and_paged(shown, page):
    proba = shown[2].proba
    sizes = np.bincount(proba.argmax(axis=1), minlength=13)
    by_size = np.argsort(-sizes, kind="stable")
    assert clusters(page) == by_size[:10].tolist()
    click(page, "#pages-above button[aria-label^=next]")
    assert clusters(page) == by_size[10:].tolist()
    choose(page, "sort", "confidence")
    labels = proba.argmax(axis=1)
    means = [proba.max(axis=1)[labels == k].mean() for k in range(13)]
    assert clusters(page) == np.argsort(np.negative(means))[:10].tolist()
    choose(page, "sort", "cluster")
    assert clusters(page) == list(range(10))


def test_images_of_a_cluster_are_paged_and_turned_around(shown, page):
    proba = shown[2].proba
    members = np.flatnonzero(proba.argmax(axis=1) == 0)
    ordered = members[np.argsort(-proba[members, 0], kind="stable")].tolist()
    choose(page, "sort", "cluster")
    assert tiles(page)[:48] == ordered[:48]
    click(page, ".cluster button[aria-label^=next]")
    assert tiles(page)[:48] == ordered[48:96]
    click(page, ".cluster button[aria-label^=previous]")
    assert tiles(page)[:48] == ordered[:48]
    choose(page, "order", "least")
    assert tiles(page)[:48] == ordered[::-1][:48]


def test_a_click_enlarges_the_image_and_keys_go_on(shown, page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    choose(page, "sort", "cluster")
    row, after = tiles(page)[:2]
    page.find_element(By.CSS_SELECTOR, ".tile").click()
    assert page.execute_script("return document.getElementById('viewer').open")
    assert f"{row:,}" in page.find_element(By.ID, "view").text.split()
    wait(page, "document.querySelector('#view canvas').dataset.drawn")
    script = """
        const canvas = document.querySelector('#view canvas');
        const {width, height} = canvas;
        return [...canvas.getContext('2d').getImageData(0, 0, width, height).data];
    """
    pixels = np.array(page.execute_script(script)).reshape(8, 6, 4)
    np.testing.assert_array_equal(pixels[..., 0], shown[3][row])
    box = page.find_element(By.CSS_SELECTOR, "#view canvas").size
    assert box["height"] > 300
    page.find_element(By.ID, "after").send_keys(Keys.ARROW_RIGHT)
    assert f"{after:,}" in page.find_element(By.ID, "view").text.split()
    page.find_element(By.ID, "close").click()
    assert not page.execute_script("return document.getElementById('viewer').open")


def test_hostile_names_are_read_as_they_are(shown, page):
    """All clusters and labels were drawn, and nothing of them has become an element or run."""
    choose(page, "sort", "confidence")
    names = []
    for number in range(len(HOSTILE)):
        page.execute_script(f"document.querySelectorAll('.tile')[{number}].click()")
        names.append(page.execute_script("return document.querySelector('.name').textContent"))
        click(page, "#close")
    for name, expected in zip(names, HOSTILE, strict=True):
        if "\udcff" in expected or "\x00" in expected:
            assert "\ufffd" in name
        else:
            assert name == expected
    assert "taken" not in page.title
    counted = page.execute_script(
        "return ['script', 'img:not(figure img)', 'bdi bdi', 'bdi *']"
        ".map(s => document.querySelectorAll(s).length)"
    )
    assert counted == [2, 0, 0, 0]
    assert [line for line in page.get_log("browser") if line["level"] == "SEVERE"] == []
    loaded = page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []


def test_pages_are_light_or_dark(page, tmp_path):
    def brightness():
        pixels = Image.open(io.BytesIO(page.get_screenshot_as_png())).convert("L")
        return float(np.median(np.asarray(pixels)))

    def prefer(scheme):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    prefer("light")
    light = brightness()
    prefer("dark")
    assert light > 220
    assert brightness() < 60
    click(page, "#theme")
    assert brightness() == light
    click(page, "#theme")
    assert brightness() < 60
    prefer("light")
    assert brightness() < 60  # what was chosen stays
