/* The grid of a report and its pickers, and one cell closely. Works on the JSON block and on the pictures that stand
   in the page once; texts become text, never markup. */
"use strict";

document.documentElement.classList.add("live");

document.addEventListener("DOMContentLoaded", () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const make = (tag, props = {}, ...kids) => {
    const node = Object.assign(document.createElement(tag), props);
    node.append(...kids);
    return node;
  };
  const picture = (index) => at(`picture-${index}`);
  const names = data.axes.map((axis) => axis.key);
  const NOTHING = "";

  const chosen = { rows: data.rows, columns: data.columns, rest: {}, show: "picture", under: NOTHING, size: 0 };
  let order = []; // cards as they stand in the grid, for the next and the previous one
  let open = -1; // place in that order

  // What is where

  const valueOf = (card, key) => card.at[names.indexOf(key)];
  const placed = () => [chosen.rows, chosen.columns].filter(Boolean);

  /* Whether equal values of some axes always go with one value of another: then there is nothing to pick. */
  function determines(keys, key) {
    const seen = new Map();
    return data.cards.every((card) => {
      const place = keys.map((one) => valueOf(card, one)).join();
      if (!seen.has(place)) seen.set(place, valueOf(card, key));
      return seen.get(place) === valueOf(card, key);
    });
  }

  function rest() {
    const found = [];
    for (const key of names) {
      if (!placed().includes(key) && !determines([...placed(), ...found], key)) found.push(key);
    }
    return found;
  }

  /* The cards at the picked values; one that lacks a parameter has nothing against any value of it. */
  function kept() {
    const keys = rest();
    return data.cards.filter((card) =>
      keys.every((key) => valueOf(card, key) === null || valueOf(card, key) === (chosen.rest[key] ?? 0)),
    );
  }

  function present(cards, key) {
    if (!key) return [undefined];
    const there = new Set(cards.map((card) => valueOf(card, key)));
    const all = data.axes[names.indexOf(key)].values.map((_, index) => index).filter((index) => there.has(index));
    return there.has(null) ? [...all, null] : all;
  }

  const label = (key, index) => (index === null ? "(none)" : data.axes[names.indexOf(key)].values[index][0]);
  const full = (key, index) => (index === null ? "" : data.axes[names.indexOf(key)].values[index][1]);

  // Pickers

  function select(name, options, value, change) {
    const node = make("select", { name });
    node.setAttribute("aria-label", name);
    for (const [key, text] of options) node.append(make("option", { value: key, textContent: text }));
    node.value = value;
    node.addEventListener("change", () => change(node.value));
    return make("label", { textContent: name }, node);
  }

  function place(which, key) {
    const other = which === "rows" ? "columns" : "rows";
    if (key && chosen[other] === key) chosen[other] = chosen[which];
    chosen[which] = key;
    refresh(which);
  }

  function drawPickers() {
    const axes = [[NOTHING, "–"], ...names.map((key) => [key, key])];
    const parts = [];
    if (names.length) {
      parts.push(select("rows", axes, chosen.rows, (key) => place("rows", key)));
      parts.push(select("columns", axes, chosen.columns, (key) => place("columns", key)));
    }
    for (const key of rest()) {
      const options = present(data.cards, key).filter((index) => index !== null).map((index) => [index, label(key, index)]);
      parts.push(select(key, options, chosen.rest[key] ?? 0, (value) => ((chosen.rest[key] = Number(value)), refresh(key))));
    }
    const shows = [["picture", "output"], ["references", "reference"], ["change", "change map"]].filter(([what]) =>
      data.cards.some((card) => shownOf(card, what) !== null),
    );
    if (shows.length > 1) {
      parts.push(select("show", shows, chosen.show, (what) => ((chosen.show = what), refresh("show"))));
    }
    const measured = [...new Set(data.cards.flatMap((card) => card.measured.map(([name]) => name)))];
    if (measured.length) {
      const options = [[NOTHING, "nothing"], ...measured.map((name) => [name, name])];
      parts.push(select("below", options, chosen.under, (name) => ((chosen.under = name), refresh("below"))));
    }
    const size = make("input", { type: "range", name: "size", min: 56, max: 520, step: 4, value: tileSize() });
    size.addEventListener("input", () => {
      chosen.size = Number(size.value);
      at("sheet").style.setProperty("--tile", `${chosen.size}px`);
    });
    parts.push(make("label", { textContent: "size" }, size));
    at("pickers").replaceChildren(...parts);
  }

  /* Drawn anew, the control that was used keeps the keyboard. */
  function refresh(used) {
    draw();
    at("pickers").querySelector(`[name="${CSS.escape(used)}"]`)?.focus();
  }

  // Grid

  function shownOf(card, what) {
    if (what === "references") return card.references.length ? card.references[0] : null;
    return card[what];
  }

  function tile(card, row, column) {
    if (!card) return make("div", { className: "tile none", textContent: "–", title: "no such cell" });
    const index = shownOf(card, chosen.show);
    const node = make("button", { type: "button", className: "tile" });
    node.dataset.row = row;
    node.dataset.column = column;
    const marks = { "✓": "passed", "✗": "failed on a criterion", "★": "favourite" };
    const signs = [...card.mark].map((sign) => marks[sign]).filter(Boolean);
    node.setAttribute("aria-label", [card.title, card.said, ...signs].filter(Boolean).join(" · "));
    node.title = card.title;
    if (index !== null) {
      const { src, width, height } = stored(index);
      node.append(make("img", { src, width, height, alt: "", decoding: "async", draggable: false }));
      if (card.mark && chosen.show === "picture") node.append(make("span", { className: "mark", textContent: card.mark }));
    } else {
      const why = card.said || (chosen.show === "change" ? "no change map" : "no reference");
      node.append(make("span", { className: `why ${card.kind}`, textContent: why, dir: "auto" }));
    }
    const place = order.push(card) - 1;
    node.addEventListener("click", () => look(place));
    const under = card.measured.find(([name]) => name === chosen.under);
    if (!chosen.under) return node;
    const words = under ? under[1] : card.picture === null ? "" : "not measured";
    return make("div", {}, node, make("div", { className: "under", textContent: words }));
  }

  /* An image that is not laid out says 0 for its width: its attributes say it. */
  function stored(index) {
    const node = picture(index);
    return { src: node.src, width: Number(node.getAttribute("width")), height: Number(node.getAttribute("height")) };
  }

  function heading(key, index, scope) {
    const node = make("th", { scope, dir: "auto" }, make("b", { textContent: label(key, index) }));
    node.title = full(key, index);
    return node;
  }

  function matrix(cards) {
    const rows = present(cards, chosen.rows);
    const columns = present(cards, chosen.columns);
    const found = new Map();
    for (const card of cards) {
      const place = [chosen.rows && valueOf(card, chosen.rows), chosen.columns && valueOf(card, chosen.columns)].join();
      if (!found.has(place)) found.set(place, []);
      found.get(place).push(card);
    }
    const head = make("tr", {}, make("th", { className: "corner" }, ...corner()));
    for (const column of columns) {
      head.append(chosen.columns ? heading(chosen.columns, column, "col") : make("th", { scope: "col" }));
    }
    const body = make("tbody");
    rows.forEach((row, down) => {
      const line = make("tr", {}, heading(chosen.rows, row, "row"));
      columns.forEach((column, across) => {
        const there = found.get([row, chosen.columns && column].join()) ?? [];
        line.append(make("td", {}, tile(there[0], down, across)));
      });
      body.append(line);
    });
    const hidden = [...found.values()].reduce((sum, there) => sum + there.length - 1, 0);
    return [make("table", { className: "grid" }, make("thead", {}, head), body), hidden];
  }

  const corner = () =>
    [chosen.columns && `${chosen.columns} →`, chosen.rows && `${chosen.rows} ↓`]
      .filter(Boolean)
      .map((textContent) => make("div", { textContent }));

  function flow(cards) {
    const sorted = chosen.columns
      ? present(cards, chosen.columns).flatMap((index) => cards.filter((card) => valueOf(card, chosen.columns) === index))
      : cards;
    const nodes = sorted.map((card, index) => {
      const words = chosen.columns ? `${chosen.columns} ${label(chosen.columns, valueOf(card, chosen.columns))}` : card.title;
      return make("div", {}, make("div", { className: "under", textContent: words, dir: "auto" }), tile(card, 0, index));
    });
    return make("div", { className: "flow" }, ...nodes);
  }

  function tileSize() {
    if (chosen.size) return chosen.size;
    const columns = chosen.rows ? present(kept(), chosen.columns).length : Math.min(6, kept().length);
    const room = at("sheet").clientWidth - (chosen.rows ? Math.min(130, at("sheet").clientWidth * 0.2) : 0);
    const least = room < 500 ? 96 : 108;
    return Math.round(Math.min(320, Math.max(least, room / Math.max(1, columns) - 8)));
  }

  function draw() {
    const cards = kept();
    order = [];
    at("sheet").style.setProperty("--tile", `${tileSize()}px`);
    const [node, hidden] = chosen.rows ? matrix(cards) : [flow(cards), 0];
    at("sheet").replaceChildren(node);
    drawPickers();
    const picked = rest().map((key) => `${key} ${label(key, chosen.rest[key] ?? 0)}`);
    const parts = [];
    if (!data.cards.length) parts.push("There are no cells");
    else if (cards.length < data.cards.length) {
      parts.push(`${cards.length - hidden} of ${data.cards.length} shown: ${picked.join(", ")}`);
    }
    if (hidden) parts.push(`${hidden} more share a place with one that is shown`);
    const help = make("span", { className: "help", textContent: "Pick one for a closer look; arrow keys move." });
    at("hint").replaceChildren(parts.map((part) => `${part}. `).join(""), ...(data.cards.length ? [help] : []));
  }

  at("sheet").addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const from = document.activeElement;
    if (!step || !from?.dataset.row || event.ctrlKey || event.metaKey || event.altKey) return;
    let row = Number(from.dataset.row);
    let column = Number(from.dataset.column);
    // Across places without a cell, as far as the grid goes.
    for (let tries = 0; tries < 200; tries += 1) {
      row += step[0];
      column += step[1];
      const next = at("sheet").querySelector(`[data-row="${row}"][data-column="${column}"]`);
      if (!next) continue;
      event.preventDefault();
      next.focus();
      return;
    }
  });

  // One cell, closely

  function look(place) {
    open = place;
    const card = order[place];
    at("closer-title").textContent = card.title;
    at("before").disabled = place === 0;
    at("after").disabled = place === order.length - 1;
    at("closer-body").replaceChildren(make("div", {}, ...seen(card)), make("div", {}, ...told(card)));
    if (!at("closer").open) at("closer").showModal();
    at("closer").scrollTop = 0;
  }

  function seen(card) {
    if (card.picture === null) {
      const why = make("p", { className: `why-large ${card.kind}`, textContent: card.said || "no picture", dir: "auto" });
      return [why, ...(card.references.length ? [single(card.references[0], "reference")] : [])];
    }
    const words = card.simulated ? "output (simulated)" : "output";
    const views = [];
    if (card.references.length) {
      card.references.forEach((index, number) => {
        const name = card.references.length > 1 ? `reference ${number + 1}` : "reference";
        views.push([`${name} | output`, () => pair(index, card.picture, name, words, card.frames[number])]);
      });
    } else views.push(["output", () => [single(card.picture, words)]]);
    if (card.change !== null) views.push(["change map", () => [single(card.change, data.change)]]);
    const first = Math.max(0, card.frames.findIndex((frame) => frame?.registered));
    const stage = make("div", {}, ...views[first][1]());
    if (views.length < 2) return [stage];
    const options = views.map(([name], index) => [index, name]);
    const pick = select("view", options, first, (index) => stage.replaceChildren(...views[Number(index)][1]()));
    return [stage, make("div", { className: "looks" }, pick)];
  }

  function layer(index, className) {
    const { src, width, height } = stored(index);
    return { ratio: width / height, node: make("img", { src, className, alt: "", draggable: false }) };
  }

  function framed(ratio, ...kids) {
    const node = make("div", { className: "stage" }, ...kids);
    node.style.aspectRatio = ratio;
    node.style.maxWidth = `calc(70vh * ${ratio})`;
    return node;
  }

  const badge = (text, side) => make("span", { className: `badge ${side}`, textContent: text });

  function single(index, words) {
    const { ratio, node } = layer(index, "");
    node.alt = words;
    return framed(ratio, make("div", { className: "layer" }, node), badge(words, "left"));
  }

  /* Without a known frame, the first picture is centred in that of the second. */
  function centred(ratio, into) {
    const [wide, tall] = [Math.min(1, ratio / into), Math.min(1, into / ratio)];
    const left = [wide * into, 0, 0, tall, ((1 - wide) * into) / 2, (1 - tall) / 2];
    return { size: [into, 1], layers: [left, [into, 0, 0, 1, 0, 0]], note: "" };
  }

  /* By an affine map from fractions of the picture to the frame. */
  function put({ node }, [a, b, c, d, x, y], [across, down]) {
    const share = (part, whole) => `${(100 * part) / whole}%`;
    Object.assign(node.style, {
      left: share(x, across),
      top: share(y, down),
      width: share(a, across),
      height: share(d, down),
      transform: `matrix(1, ${b / a}, ${c / d}, 1, 0, 0)`,
    });
  }

  /* Reference over output, cut at the divider; striped where the frame holds what one of them doesn't show. */
  function pair(before, after, name, words, known) {
    const below = layer(after, "placed");
    const top = layer(before, "placed");
    const frame = known ?? centred(top.ratio, below.ratio);
    put(top, frame.layers[0], frame.size);
    put(below, frame.layers[1], frame.size);
    below.node.alt = words;
    top.node.alt = name;
    const stage = framed(
      frame.size[0] / frame.size[1],
      make("div", { className: "layer" }, below.node),
      make("div", { className: "layer top" }, top.node),
      make("span", { className: "line" }),
      badge(name, "left"),
      badge(words, "right"),
    );
    stage.classList.add("paired");
    const divider = make("input", { type: "range", className: "divider", min: 0, max: 100, step: 1, value: 50 });
    const move = (value) => {
      divider.value = value;
      stage.style.setProperty("--at", `${divider.value}%`);
      divider.setAttribute("aria-valuetext", `${divider.value} % ${name}`);
    };
    divider.setAttribute("aria-label", `divider between ${name} and ${words}`);
    divider.addEventListener("input", () => move(divider.value));
    const follow = (event) => {
      const box = stage.getBoundingClientRect();
      move(((event.clientX - box.left) / box.width) * 100);
    };
    stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      stage.setPointerCapture(event.pointerId);
      follow(event);
    });
    stage.addEventListener("pointermove", (event) => stage.hasPointerCapture(event.pointerId) && follow(event));
    move(50);
    divider.style.maxWidth = stage.style.maxWidth;
    return [stage, divider, ...(frame.note ? [make("p", { className: "note", textContent: frame.note })] : [])];
  }

  function told(card) {
    const parts = [...pairs("Result", card.facts)];
    parts.push(...pairs("Verdicts", card.verdicts, (text) => (text === "pass" ? "passed" : "not-passed")));
    parts.push(...pairs("Measured", card.measured));
    if (card.comment) {
      parts.push(make("h3", { textContent: "Note" }), make("p", { className: "comment", textContent: card.comment, dir: "auto" }));
    }
    return [...parts, ...pairs("Parameters", card.params)];
  }

  function pairs(title, facts, classOf = () => "") {
    if (!facts.length) return [];
    const rows = facts.map(([name, text]) =>
      make(
        "tr",
        {},
        make("th", { scope: "row", textContent: name, dir: "auto" }),
        make("td", { textContent: text, className: classOf(text), dir: "auto" }),
      ),
    );
    return [make("h3", { textContent: title }), make("table", { className: "pairs" }, make("tbody", {}, ...rows))];
  }

  function step(by) {
    if (order[open + by]) look(open + by);
  }

  at("before").addEventListener("click", () => step(-1));
  at("after").addEventListener("click", () => step(1));
  at("close").addEventListener("click", () => at("closer").close());
  at("closer").addEventListener("click", (event) => event.target === at("closer") && at("closer").close());
  at("closer").addEventListener("keydown", (event) => {
    // A divider and a list have their own use for arrows.
    if (/^(INPUT|SELECT)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });

  let width = 0;
  const sized = () => {
    const now = at("sheet").clientWidth;
    if (now === width || chosen.size) return;
    width = now;
    at("sheet").style.setProperty("--tile", `${tileSize()}px`);
  };
  draw();
  new ResizeObserver(sized).observe(at("sheet"));
});
