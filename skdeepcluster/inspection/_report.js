"use strict";
// Names and labels come from anywhere: they enter the page as text nodes only, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const CLUSTERS = 10; // on a page
const IMAGES = 48; // of a cluster on a page
const ROWS = 15;

const byId = (id) => document.getElementById(id);

function element(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const percent = (share) => (100 * share).toFixed(1) + " %";
const count = (number) => number.toLocaleString("en");

// ------------------------------------------------------------------ images

const sheets = new Map();

function sheet(number) {
  if (!sheets.has(number)) {
    const image = new Image();
    image.src = data.images.sheets[number];
    sheets.set(number, image.decode().then(() => image));
  }
  return sheets.get(number);
}

// A canvas of the image at a place of the sheets, shown with sides of at most `side` CSS pixels.
function picture(place, side) {
  const { width, height, columns, perSheet } = data.images;
  const scale = side / Math.max(width, height);
  const canvas = element("canvas", { width, height });
  canvas.style.width = Math.round(width * scale) + "px";
  canvas.style.height = Math.round(height * scale) + "px";
  canvas.classList.toggle("pixels", scale >= 1.5 && Math.max(width, height) <= 64);
  const within = place % perSheet;
  const x = (within % columns) * width;
  const y = Math.floor(within / columns) * height;
  sheet(Math.floor(place / perSheet)).then((image) => {
    canvas.getContext("2d").drawImage(image, x, y, width, height, 0, 0, width, height);
    canvas.dataset.drawn = "yes";
  });
  return canvas;
}

// ------------------------------------------------------------------ what is known of a row

const rows = data.rows;
const nameOf = (place) => (rows.names ? rows.names[place] : "row " + rows.index[place]);
const labelOf = (place) => (rows.labels ? data.labels[rows.labels[place]] : null);
const confidenceOf = (place) => (rows.confidence ? rows.confidence[place] / 1000 : null);

function summary(place) {
  const parts = [nameOf(place)];
  if (rows.confidence) parts.push("confidence " + percent(confidenceOf(place)));
  if (rows.labels) parts.push("label " + labelOf(place));
  return parts.join(", ");
}

// ------------------------------------------------------------------ pages

// Buttons for going back and forth; `turn` gets the number of the wanted page.
function pager(page, pages, kind, turn) {
  const box = element("span", { className: "pager" });
  if (pages < 2) return box;
  const button = (text, to, label) => {
    const node = element("button", { type: "button", textContent: text });
    node.setAttribute("aria-label", label + " page of " + kind);
    node.disabled = to < 0 || to >= pages;
    node.addEventListener("click", () => turn(to));
    return node;
  };
  const place = element("span", { className: "soft" }, `page ${page + 1} of ${pages}`);
  box.append(button("‹", page - 1, "previous"), place, button("›", page + 1, "next"));
  return box;
}

const state = { sort: "size", order: "most", page: 0, pages: new Map() };

const SORTS = {
  size: (a, b) => b.size - a.size,
  confidence: (a, b) => (b.confidence ?? -1) - (a.confidence ?? -1),
  cluster: (a, b) => a.number - b.number,
};

function sorted() {
  return [...data.clusters].sort((a, b) => SORTS[state.sort](a, b) || a.number - b.number);
}

// The places of a cluster's rows in the order that was asked for.
function places(cluster) {
  const all = Array.from({ length: cluster.shown }, (_, i) => cluster.start + i);
  return state.order === "least" ? all.reverse() : all;
}

function draw() {
  const pages = Math.max(1, Math.ceil(data.clusters.length / CLUSTERS));
  state.page = Math.min(state.page, pages - 1);
  const turn = (to) => {
    state.page = to;
    draw();
    byId("clusters").scrollIntoView();
  };
  for (const id of ["pages-above", "pages-below"]) {
    byId(id).replaceChildren(pager(state.page, pages, "clusters", turn));
  }
  const shown = sorted().slice(state.page * CLUSTERS, (state.page + 1) * CLUSTERS);
  byId("list").replaceChildren(...shown.map(card));
}

function card(cluster) {
  const perPage = data.images ? IMAGES : ROWS;
  const pages = Math.ceil(cluster.shown / perPage);
  const page = Math.min(state.pages.get(cluster.number) ?? 0, Math.max(0, pages - 1));
  const node = element("section", { className: "cluster" });
  node.dataset.cluster = cluster.number;
  const turn = (to) => {
    state.pages.set(cluster.number, to);
    node.replaceWith(card(cluster));
  };
  const title = element("h3", {}, "Cluster ", element("bdi", {}, cluster.name));
  const facts = element("span", { className: "soft" }, factsOf(cluster));
  const turner = pager(page, pages, "cluster " + cluster.name, turn);
  node.append(element("div", { className: "head" }, title, facts, turner));
  if (cluster.labels.length) node.append(labelLine(cluster));
  if (cluster.features.length) node.append(featureLine(cluster));
  if (cluster.shown < cluster.size) {
    const text = `${count(cluster.shown)} rows are in this file: ${data.choice}.`;
    node.append(element("p", { className: "soft" }, text));
  }
  const part = places(cluster).slice(page * perPage, (page + 1) * perPage);
  node.append(data.images ? tiles(part, cluster) : table(part));
  return node;
}

function factsOf(cluster) {
  const parts = [`${count(cluster.size)} rows (${percent(cluster.size / data.total)})`];
  if (cluster.confidence !== null) parts.push("mean confidence " + percent(cluster.confidence));
  return parts.join(", ");
}

function labelLine(cluster) {
  const line = element("p", { className: "soft" }, "labels: ");
  cluster.labels.forEach(([label, number], i) => {
    const name = element("bdi", {}, data.labels[label]);
    line.append(i ? ", " : "", name, " " + percent(number / cluster.size));
  });
  return line;
}

function featureLine(cluster) {
  const line = element("p", { className: "soft" }, "means apart from all rows' mean, in their standard deviations: ");
  cluster.features.forEach(([name, score], i) => {
    line.append(i ? ", " : "", element("bdi", {}, name), ` ${score > 0 ? "+" : "−"}${Math.abs(score).toFixed(1)}`);
  });
  return line;
}

function tiles(part, cluster) {
  const box = element("div", { className: "tiles" });
  for (const place of part) {
    const tile = element("button", { type: "button", className: "tile", title: summary(place) });
    tile.setAttribute("aria-label", "Enlarge " + summary(place));
    tile.dataset.row = rows.index[place];
    tile.append(picture(place, Math.max(56, Math.min(96, data.images.width))));
    tile.addEventListener("click", () => enlarge(place, cluster));
    box.append(tile);
  }
  return box;
}

function table(part) {
  const head = element("tr", {}, element("th", {}, rows.names ? "name" : "row"));
  if (rows.confidence) head.append(element("th", {}, "confidence"));
  if (rows.labels) head.append(element("th", {}, "label"));
  const body = part.map((place) => {
    const line = element("tr", {}, element("td", {}, element("bdi", {}, nameOf(place))));
    if (rows.confidence) line.append(element("td", {}, percent(confidenceOf(place))));
    if (rows.labels) line.append(element("td", {}, element("bdi", {}, labelOf(place))));
    return line;
  });
  return element("div", { className: "wide" }, element("table", {}, head, ...body));
}

// ------------------------------------------------------------------ one image, enlarged

const viewer = byId("viewer");
let viewed = null;

function enlarge(place, cluster) {
  viewed = { all: places(cluster), place, cluster };
  show();
  if (!viewer.open) viewer.showModal();
}

function show() {
  const { all, place, cluster } = viewed;
  const box = element("div", { className: "picture" }, picture(place, 480));
  const name = element("p", { className: "name" }, element("bdi", {}, nameOf(place)));
  const facts = element("table", {});
  const fact = (key, value) => {
    facts.append(element("tr", {}, element("th", {}, key), element("td", {}, element("bdi", {}, value))));
  };
  fact("row", count(rows.index[place]));
  fact("cluster", cluster.name);
  if (rows.confidence) fact("confidence", percent(confidenceOf(place)));
  if (rows.next) {
    const [other, share] = rows.next[place];
    fact("next probable", `${data.clusters[other].name} (${percent(share / 1000)})`);
  }
  if (rows.labels) fact("label", labelOf(place));
  byId("view").replaceChildren(box, name, facts);
  const at = all.indexOf(place);
  byId("before").disabled = at === 0;
  byId("after").disabled = at === all.length - 1;
  byId("at").textContent = `${count(at + 1)} of ${count(all.length)} in this cluster`;
}

function step(by) {
  const next = viewed.all[viewed.all.indexOf(viewed.place) + by];
  if (next === undefined) return;
  viewed.place = next;
  show();
}

byId("before").addEventListener("click", () => step(-1));
byId("after").addEventListener("click", () => step(1));
byId("close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => {
  if (event.target === viewer) viewer.close(); // beside it
});
viewer.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});

// ------------------------------------------------------------------ controls

for (const key of ["sort", "order"]) {
  byId(key).addEventListener("change", (event) => {
    state[key] = event.target.value;
    state.page = 0;
    state.pages.clear();
    draw();
  });
  state[key] = byId(key).value; // a browser may keep what was chosen before a reload
}

byId("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme ?? (isDark ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
});

draw();
