/* Boxes over a picture. `boxes` is changed by Python alone: what is asked for is shown at once and dropped when
   Python's answer says that `boxes` has it now. The picture comes as a message buffer after this view said "ready". */

const STEP = 0.01; // of width or height, by an arrow key
const CLICK = 4; // pixels; a drag that is shorter was a click
const LIST = 300; // pixels that names and what is beside them need
const REST = 250; // ms after the last arrow key before Python is told
const HINT =
  "Drag on the picture to draw a box; with Shift also inside another one. The picked one: arrow keys move it (Shift: " +
  "by 10 %), with Alt they resize it, Enter names it, Delete removes it.";
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function render({ model, el }) {
  const uid = "kl" + Math.random().toString(36).slice(2);
  const asked = new Map();
  const parts = new Map(); // by name: the box on the picture, and its line in the list
  let count = 0;
  let picked = null;
  let drag = null;
  let held = null; // a box moved by keys that Python has not been told of yet
  let timer = 0;
  let picture = null;
  let failed = false;
  let newest = -1;
  let ready = false;

  const ghost = make("div", { className: "kl-box kl-box-new", hidden: true });
  const stage = make("div", { className: "kl-boxes-stage", hidden: true, tabIndex: -1 }, ghost);
  const message = make("div", { className: "kl-boxes-message", hidden: true });
  const list = make("ul", { className: "kl-boxes-list" });
  const add = make("button", { type: "button", textContent: "+ box", title: "Add a box in the middle" });
  const error = make("div", { className: "kl-boxes-error" });
  const hint = make("div", { className: "kl-boxes-hint", id: uid + "h", textContent: HINT });
  const spoken = make("div", { className: "kl-boxes-spoken" });
  stage.setAttribute("role", "group");
  list.setAttribute("aria-label", "boxes");
  message.setAttribute("role", "status");
  error.setAttribute("role", "alert");
  spoken.setAttribute("role", "status");
  el.classList.add("kl-boxes");
  el.append(stage, message, make("div", { className: "kl-boxes-side" }, list, error, add, hint), spoken);

  const find = (name) => shown().find((one) => one.name === name);
  const free = () => {
    const names = new Set(shown().map((one) => one.name));
    let number = 1;
    while (names.has(`box ${number}`)) number += 1;
    return `box ${number}`;
  };

  function shown() {
    let boxes = model.get("boxes").map(([name, ...box]) => ({ name, box }));
    for (const op of asked.values()) boxes = DONE[op.type](boxes, op);
    for (const now of [held, drag]) if (now?.name) boxes = DONE.change(boxes, now);
    return boxes;
  }

  function ask(op) {
    flush();
    op.id = `${uid}-${++count}`;
    asked.set(op.id, op);
    model.send(op);
    draw();
  }

  function flush() {
    clearTimeout(timer);
    if (!held) return;
    const { name, box } = held;
    held = null;
    ask({ type: "change", name, box: rounded(box) });
  }

  function answered({ id, ok, name }) {
    const op = asked.get(id);
    if (!op) return;
    asked.delete(id);
    if (op.type === "rename" && !ok) called(op.to, op.name);
    else if (op.type === "add" && ok && name !== op.name) called(op.name, name);
    draw();
    // What can't be a name is not left standing where it was typed.
    if (op.type === "rename" && !ok) parts.get(op.name)?.write();
  }

  /* The same parts under another name: they keep the focus. */
  function called(before, now) {
    const part = parts.get(before);
    if (!part || before === now) return;
    parts.delete(before);
    parts.get(now)?.remove();
    parts.set(now, part);
    part.name = now;
    part.write();
    if (picked === before) picked = now;
  }

  function pick(name) {
    if (picked === name) return;
    if (held && held.name !== name) flush();
    picked = name;
    draw();
  }

  // Parts

  function newPart(name) {
    const label = make("span", { className: "kl-box-label" });
    const node = make("div", { className: "kl-box", tabIndex: 0 }, label);
    for (const [x, y] of [[0, 0], [1, 0], [0, 1], [1, 1]]) {
      const corner = make("span", { className: `kl-box-corner kl-box-${"lr"[x]}${"tb"[y]}` });
      corner.dataset.corner = `${x}${y}`;
      node.append(corner);
    }
    node.setAttribute("role", "application");
    node.setAttribute("aria-roledescription", "box");
    node.setAttribute("aria-describedby", hint.id);
    const input = make("input", { type: "text", autocomplete: "off", spellcheck: false, maxLength: 200 });
    const size = make("span", { className: "kl-boxes-size" });
    const cross = make("button", { type: "button", textContent: "×", className: "kl-boxes-remove" });
    const row = make("li", {}, input, size, cross);
    const part = {
      name,
      node,
      row,
      write: () => (input.value = part.name),
      edit: () => (input.focus(), input.select()),
      focus: () => node.focus({ preventScroll: true }),
      remove: () => (node.remove(), row.remove()),
      place: (box, rank) => placed(part, box, rank, { label, input, size, cross }),
    };
    part.write();
    node.addEventListener("focus", () => pick(part.name));
    node.addEventListener("blur", flush);
    node.addEventListener("keydown", (event) => pressed(event, part));
    row.addEventListener("focusin", () => pick(part.name));
    row.addEventListener("pointerdown", (event) => {
      if (event.target.closest("input, button")) return;
      event.preventDefault();
      part.focus();
    });
    cross.addEventListener("click", () => drop(part));
    input.addEventListener("change", () => rename(part, input));
    input.addEventListener("keydown", (event) => typed(event, part, input));
    parts.set(name, part);
    return part;
  }

  function placed(part, box, rank, { label, input, size, cross }) {
    const [x0, y0, x1, y1] = box;
    const { node, row, name } = part;
    put(node, box);
    node.style.zIndex = String(rank);
    node.dataset.name = name;
    // Names stand above their boxes where there is room for that, and never leave the picture to the right.
    node.classList.toggle("kl-box-high", y0 * stage.clientHeight < 20);
    const far = x0 > 0.6;
    node.classList.toggle("kl-box-far", far);
    label.style.maxWidth = `min(16em, ${Math.max(30, (far ? x1 : 1 - x0) * stage.clientWidth)}px)`;
    // Of a small box, most is for moving it, and to be seen.
    const least = Math.min((x1 - x0) * stage.clientWidth, (y1 - y0) * stage.clientHeight);
    node.style.setProperty("--kl-in", `${clamp(least / 4, 0, 9)}px`);
    node.style.setProperty("--kl-square", `${clamp(least / 3, 6, 10)}px`);
    node.setAttribute("aria-label", inWords(name, box));
    label.textContent = name;
    size.textContent = sizeOf(box);
    size.title = `from ${percent(x0)}, ${percent(y0)} % to ${percent(x1)}, ${percent(y1)} %`;
    input.setAttribute("aria-label", `name of ${name}`);
    input.title = `${name}: measured as preserve/${name}`;
    cross.setAttribute("aria-label", `remove ${name}`);
    cross.title = `Remove ${name}`;
    for (const one of [node, row]) one.classList.toggle("kl-box-picked", picked === name);
  }

  function put(node, [x0, y0, x1, y1]) {
    const at = { left: x0, top: y0, width: x1 - x0, height: y1 - y0 };
    for (const [side, part] of Object.entries(at)) node.style[side] = `${part * 100}%`;
  }

  function draw() {
    const boxes = shown();
    const names = new Set(boxes.map((one) => one.name));
    if (!names.has(picked)) picked = null;
    for (const [name, part] of parts) {
      if (names.has(name)) continue;
      part.remove();
      parts.delete(name);
    }
    const area = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);
    const bySize = [...boxes].sort((a, b) => area(b.box) - area(a.box));
    boxes.forEach((one, at) => {
      const part = parts.get(one.name) ?? newPart(one.name);
      if (!part.node.isConnected) stage.insertBefore(part.node, ghost);
      if (list.children[at] !== part.row) list.insertBefore(part.row, list.children[at] ?? null);
      part.place(one.box, bySize.indexOf(one) + 1); // the smaller ones on top, where they can be reached
    });
    list.hidden = !boxes.length;
    ghost.hidden = !drag || Boolean(drag.name) || !drag.far;
    if (!ghost.hidden) put(ghost, drag.box);
  }

  function write() {
    const text = model.get("message") || (failed ? "This picture cannot be shown." : "");
    message.textContent = text;
    message.hidden = !text;
    stage.hidden = add.hidden = hint.hidden = Boolean(text) || !picture;
    if (picture) picture.image.alt = model.get("alt");
    stage.setAttribute("aria-label", `${model.get("alt") || "picture"} with boxes`);
    if (error.textContent !== model.get("error")) error.textContent = model.get("error");
  }

  function resize() {
    const room = el.clientWidth;
    const ratio = picture ? picture.image.naturalWidth / picture.image.naturalHeight : 1;
    const wanted = Math.min(420, window.innerHeight * 0.7) * ratio;
    // The list stands beside the picture where the picture gets large all the same.
    const narrow = !picture || room - LIST < Math.min(wanted, 350);
    el.classList.toggle("kl-boxes-narrow", narrow);
    if (!picture || !room || stage.hidden) return;
    const width = Math.max(60, Math.min(narrow ? room : room - LIST, wanted));
    Object.assign(stage.style, { width: `${width}px`, height: `${width / ratio}px` });
    draw();
  }

  // What is done with them

  const tell = (name) => {
    const one = find(name);
    spoken.textContent = one ? inWords(name, one.box) : `${name} removed`;
  };

  function addBox(box) {
    const name = free();
    picked = name;
    ask({ type: "add", name, box: rounded(box) });
    parts.get(name)?.focus();
    tell(name);
  }

  function drop(part) {
    const beside = part.row.nextElementSibling ?? part.row.previousElementSibling;
    const next = [...parts.values()].find((one) => one.row === beside);
    if (held?.name === part.name) held = null;
    const { name } = part;
    ask({ type: "remove", name });
    if (!next) add.focus();
    else if (stage.hidden) next.edit();
    else next.focus();
    tell(name);
  }

  function rename(part, input) {
    const { name } = part;
    const to = input.value.trim();
    flush();
    if (to === name) part.write();
    else if (!to || find(to)) {
      model.send({ type: "rename", id: uid, name, to }); // nothing to show: Python says why it can't be
      part.write();
    } else {
      called(name, to);
      ask({ type: "rename", name, to });
    }
  }

  function typed(event, part, input) {
    if (event.isComposing || (event.key !== "Enter" && event.key !== "Escape")) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape") part.write();
    else if (input.value !== part.name) rename(part, input);
    if (!stage.hidden) part.focus();
  }

  function step(part, event) {
    const [x, y] = ARROWS[event.key].map((one) => one * STEP * (event.shiftKey ? 10 : 1));
    const { name } = part;
    const { box } = find(name);
    held = { name, box: event.altKey ? resized(box, x, y) : moved(box, x, y) };
    clearTimeout(timer);
    timer = setTimeout(() => (flush(), tell(name)), REST);
    draw();
  }

  function pressed(event, part) {
    if (event.ctrlKey || event.metaKey || event.target !== part.node) return;
    if (drag) return;
    if (ARROWS[event.key]) step(part, event);
    else if (event.key === "Delete" || event.key === "Backspace") drop(part);
    else if (event.key === "Enter" || event.key === "F2") part.edit();
    else if (event.key === "Escape") {
      stage.focus({ preventScroll: true });
      pick(null);
    } else return;
    event.preventDefault();
  }

  add.addEventListener("click", () => {
    // Several added one after the other don't hide each other.
    const at = (0.04 * shown().length) % 0.3;
    addBox([0.3 + at, 0.3 + at, 0.6 + at, 0.6 + at]);
  });

  // Dragging

  function point(event) {
    const frame = stage.getBoundingClientRect();
    return [clamp((event.clientX - frame.left) / frame.width, 0, 1), clamp((event.clientY - frame.top) / frame.height, 0, 1)];
  }

  function begun(event) {
    const at = point(event);
    const part = event.shiftKey ? null : parts.get(event.target.closest(".kl-box")?.dataset.name);
    if (!part) return { name: null, at, box: between(at, at), turn: (to) => between(at, to) };
    const { box } = find(part.name);
    const corner = event.target.closest(".kl-box-corner")?.dataset.corner;
    const turn = corner ? pulled(box, corner, at) : (to) => moved(box, to[0] - at[0], to[1] - at[1]);
    return { name: part.name, at, box, turn };
  }

  /* A corner follows the pointer, as far from it as where it was grabbed; the one across from it stays. */
  function pulled(box, corner, at) {
    const [x, y] = [...corner].map(Number);
    const own = [box[x * 2], box[y * 2 + 1]];
    const across = [box[2 - x * 2], box[3 - y * 2]];
    return (to) => between(across, own.map((side, axis) => clamp(side + to[axis] - at[axis], 0, 1)));
  }

  function followed(event) {
    if (event.pointerId !== drag?.pointer) return;
    const far = Math.hypot(event.clientX - drag.from[0], event.clientY - drag.from[1]);
    drag.far ||= far >= CLICK;
    if (!drag.far) return;
    drag.box = drag.turn(point(event));
    draw();
  }

  function ended(event) {
    if (event.pointerId !== drag?.pointer) return;
    const { name, box, far } = drag;
    stop();
    if (far && name) {
      ask({ type: "change", name, box: rounded(box) });
      tell(name);
    } else if (far) addBox(box);
    else if (!name) pick(null);
  }

  function stop() {
    if (!drag) return;
    const { pointer } = drag;
    drag = null;
    if (stage.hasPointerCapture(pointer)) stage.releasePointerCapture(pointer);
    window.removeEventListener("keydown", cancelled, true);
    draw();
  }

  function cancelled(event) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopImmediatePropagation();
    stop();
  }

  // What a key means elsewhere in the panel it doesn't mean here.
  stage.addEventListener("keydown", (event) => {
    el.classList.remove("kl-boxes-by-mouse");
    if (event.key !== "Tab" && !event.ctrlKey && !event.metaKey) event.stopPropagation();
  });
  stage.addEventListener("pointerdown", (event) => {
    if (!picture || drag || event.button) return;
    event.preventDefault();
    flush();
    el.classList.add("kl-boxes-by-mouse");
    const name = parts.get(event.target.closest(".kl-box")?.dataset.name)?.name;
    drag = { ...begun(event), pointer: event.pointerId, from: [event.clientX, event.clientY], far: false };
    if (drag.name) parts.get(name).focus();
    else stage.focus({ preventScroll: true }); // a name that is being typed is taken
    stage.setPointerCapture(event.pointerId);
    window.addEventListener("keydown", cancelled, true);
  });
  // To the page the stage was clicked, which had captured the pointer.
  stage.addEventListener("dblclick", (event) => {
    const under = el.getRootNode().elementFromPoint(event.clientX, event.clientY);
    parts.get(under?.closest(".kl-box")?.dataset.name)?.edit();
  });
  stage.addEventListener("pointermove", followed);
  stage.addEventListener("pointerup", ended);
  stage.addEventListener("pointercancel", (event) => event.pointerId === drag?.pointer && stop());

  // The picture

  async function received(content, buffers) {
    if (content.type === "done") return answered(content);
    if (content.type !== "picture" || (content.view && content.view !== uid) || content.version <= newest) return;
    newest = content.version;
    const data = buffers[0];
    const loaded = data.byteLength ? await load(data, "kl-boxes-image") : null;
    if (content.version !== newest) return loaded?.release();
    stop();
    picture?.image.remove();
    picture?.release();
    picture = loaded;
    failed = Boolean(data.byteLength) && !loaded;
    if (picture) stage.prepend(picture.image);
    write();
    resize();
  }

  const sized = new ResizeObserver(() => {
    resize();
    if (ready) return;
    ready = true;
    model.send({ type: "ready", view: uid });
  });
  sized.observe(el);
  window.addEventListener("resize", resize);
  model.on("msg:custom", received);
  model.on("change:boxes", draw);
  model.on("change:message change:alt change:error", () => {
    write();
    resize();
  });
  write();
  draw();
  return () => {
    flush();
    stop();
    sized.disconnect();
    window.removeEventListener("resize", resize);
    picture?.release();
  };
}

export default { render };
