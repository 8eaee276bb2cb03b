/* One or two pictures in the same box. Dragging, zoom and pan happen here alone; Python hears of the divider's
   place when a drag has ended. Pictures come as message buffers after this view said "ready". */

const LAYERS = ["left", "right"]; // drawn in this order; one more may come on top
const MAX_ZOOM = 32; // screen pixels per picture pixel

function render({ model, el }) {
  const uid = "kl" + Math.random().toString(36).slice(2);
  const pictures = {};
  let frame = null; // its size, and the affine map of each layer from fractions of the picture to pixels of the frame
  let newest = -1;
  let failed = false;
  let ready = false;
  let arranged = "";
  let zoom = 1; // 1 fits the box
  let panX = 0;
  let panY = 0;
  let width = 0; // of one stage, in CSS pixels
  let height = 0;
  let position = model.get("position");

  const stages = make("div", { className: "kl-viewer-stages", tabIndex: 0 });
  stages.setAttribute("role", "group");
  const stage = {};
  const clip = {};
  const badge = {};
  for (const layer of LAYERS) {
    badge[layer] = make("span", { className: `kl-viewer-badge kl-viewer-badge-${layer}` });
    clip[layer] = make("div", { className: "kl-viewer-clip" });
    stage[layer] = make("div", { className: "kl-viewer-stage" });
  }
  const divider = make("div", { className: "kl-viewer-divider", tabIndex: 0 }, make("span", { className: "kl-viewer-grip" }));
  divider.setAttribute("role", "slider");
  divider.setAttribute("aria-orientation", "horizontal");
  divider.setAttribute("aria-valuemin", "0");
  divider.setAttribute("aria-valuemax", "100");
  const message = make("div", { className: "kl-viewer-message" });
  message.setAttribute("role", "status");
  const percent = make("output", { className: "kl-viewer-percent" });
  const size = make("span", { className: "kl-viewer-size" });
  const button = (textContent, title, action) => {
    const node = make("button", { type: "button", textContent, title });
    node.addEventListener("click", action);
    return node;
  };
  const bar = make(
    "div",
    { className: "kl-viewer-bar" },
    button("Fit", "Show the whole picture (0)", () => fit()),
    button("100 %", "One pixel of the picture is one pixel of the screen", () => zoomTo(exact())),
    percent,
    size,
  );
  percent.setAttribute("aria-label", "zoom");
  el.classList.add("kl-viewer");
  el.append(stages, message, bar);

  const mode = () => (pictures.left && pictures.right ? model.get("mode") : "single");
  const main = () => (model.get("mode") === "single" ? pictures.right : (pictures.right ?? pictures.left));
  const base = () => main()?.image;
  const sizeOf = (image) => [image.naturalWidth, image.naturalHeight];
  const frameSize = () => (mode() !== "single" && frame?.size) || sizeOf(base());
  const perPixel = () => (width ? (width * zoom * devicePixelRatio) / frameSize()[0] : 1);
  const exact = () => zoom / perPixel();
  const most = () => Math.max(1, exact() * MAX_ZOOM);

  // What is where

  function arrange() {
    const kind = mode();
    const shown = kind === "single" ? (main() === pictures.left ? ["left"] : ["right"]) : LAYERS;
    for (const layer of LAYERS) clip[layer].replaceChildren(...(pictures[layer] ? [pictures[layer].image] : []));
    const wanted = `${kind} ${shown}`;
    // Only a new arrangement takes the focus, or a drag, out of the divider's hands.
    if (wanted !== arranged) {
      arranged = wanted;
      for (const layer of LAYERS) stage[layer].replaceChildren();
      if (kind === "slider") stage.right.append(clip.right, clip.left, badge.left, badge.right, divider);
      else for (const layer of shown) stage[layer].append(clip[layer], badge[layer]);
      stages.replaceChildren(...(kind === "slider" ? [stage.right] : shown.map((layer) => stage[layer])));
    }
    el.dataset.mode = kind;
    write();
    resize();
  }

  function write() {
    const words = { left: model.get("left_label"), right: model.get("right_label") };
    const text = model.get("message") || (failed ? "This picture cannot be shown." : "");
    const empty = Boolean(text) || !base();
    message.textContent = text;
    message.hidden = !text;
    stages.hidden = bar.hidden = empty;
    for (const layer of LAYERS) {
      badge[layer].textContent = words[layer];
      badge[layer].hidden = !words[layer];
      if (pictures[layer]) pictures[layer].image.alt = layer === "right" ? model.get("alt") || words.right : words.left;
    }
    stages.setAttribute("aria-label", model.get("alt") || words.right || "picture");
    divider.setAttribute("aria-label", `divider between ${words.left || "left"} and ${words.right || "right"}`);
    size.textContent = sizes();
  }

  function sizes() {
    const read = ({ image }) => sizeOf(image).join(" × ");
    if (mode() === "single") return base() ? `${read(main())} px` : "";
    const [left, right] = LAYERS.map((layer) => read(pictures[layer]));
    const both = left === right ? `${right} px` : `${left} px | ${right} px`;
    return [both, frame?.note].filter(Boolean).join(" · ");
  }

  /* Where a picture lies in the frame; without a known place it is centred as large as it fits. */
  function placeOf(layer) {
    if (mode() !== "single" && frame) return frame[layer];
    const [across, down] = frameSize();
    const [own, tall] = sizeOf(pictures[layer].image);
    const by = Math.min(across / own, down / tall);
    return [own * by, 0, 0, tall * by, (across - own * by) / 2, (down - tall * by) / 2];
  }

  function resize() {
    const image = base();
    const room = el.clientWidth;
    if (!image || !room || stages.hidden) return;
    const columns = mode() === "side" ? 2 : 1;
    const most = (room - (columns - 1) * 4) / columns;
    const [across, down] = frameSize();
    const ratio = across / down;
    const before = width;
    width = Math.max(40, Math.min(most, Math.min(440, window.innerHeight * 0.7) * ratio));
    height = width / ratio;
    if (before) {
      panX *= width / before;
      panY *= width / before;
    }
    for (const layer of LAYERS) Object.assign(stage[layer].style, { width: `${width}px`, height: `${height}px` });
    place();
  }

  function place() {
    if (!base()) return;
    zoom = clamp(zoom, 1, most());
    panX = clamp(panX, width * (1 - zoom), 0);
    panY = clamp(panY, height * (1 - zoom), 0);
    const scale = perPixel();
    for (const layer of LAYERS) {
      if (!pictures[layer]) continue;
      const by = (width * zoom) / frameSize()[0];
      const [a, b, c, d, x, y] = placeOf(layer);
      Object.assign(pictures[layer].image.style, {
        width: `${a * by}px`,
        height: `${d * by}px`,
        transform: `matrix(1, ${b / a}, ${c / d}, 1, ${panX + x * by}, ${panY + y * by})`,
        imageRendering: scale >= 3 ? "pixelated" : "auto",
      });
    }
    stages.classList.toggle("kl-viewer-zoomed", zoom > 1);
    percent.textContent = `${Math.round(scale * 100)} %`;
    divide();
  }

  function divide() {
    const kind = mode();
    const at = `${(position * 100).toFixed(2)}%`;
    clip.left.style.clipPath = kind === "slider" ? `inset(0 calc(100% - ${at}) 0 0)` : "";
    divider.style.left = at;
    divider.setAttribute("aria-valuenow", String(Math.round(position * 100)));
    divider.setAttribute("aria-valuetext", `${Math.round(position * 100)} % ${model.get("left_label") || "left"}`);
  }

  // Zoom, pan and divider

  function zoomTo(target, x = width / 2, y = height / 2) {
    if (!base()) return;
    const next = clamp(target, 1, most());
    panX = x - ((x - panX) * next) / zoom;
    panY = y - ((y - panY) * next) / zoom;
    zoom = next;
    place();
  }

  function fit() {
    zoom = 1;
    place();
  }

  function move(to, sync) {
    position = clamp(to, 0, 1);
    divide();
    if (!sync || model.get("position") === position) return;
    model.set("position", position);
    model.save_changes();
  }

  const stageAt = (event) => event.target.closest(".kl-viewer-stage") ?? stages.firstElementChild;

  stages.addEventListener("pointerdown", (event) => {
    if (!base() || event.button > 1) return;
    const target = stageAt(event);
    const onDivider = divider.contains(event.target);
    const pans = zoom > 1 && !onDivider;
    if (!pans && (mode() !== "slider" || event.button === 1)) return;
    event.preventDefault();
    (mode() === "slider" ? divider : stages).focus({ preventScroll: true });
    const box = target.getBoundingClientRect();
    const from = { x: event.clientX - panX, y: event.clientY - panY };
    const follow = (now) => {
      if (pans) {
        panX = now.clientX - from.x;
        panY = now.clientY - from.y;
        place();
      } else move((now.clientX - box.left) / box.width, false);
    };
    const stop = () => {
      for (const name of ["pointermove", "pointerup", "pointercancel"]) {
        stages.removeEventListener(name, name === "pointermove" ? follow : stop);
      }
      stages.classList.remove("kl-viewer-dragging");
      if (!pans) move(position, true);
    };
    stages.setPointerCapture(event.pointerId);
    stages.classList.add("kl-viewer-dragging");
    stages.addEventListener("pointermove", follow);
    stages.addEventListener("pointerup", stop);
    stages.addEventListener("pointercancel", stop);
    if (!pans) follow(event);
  });

  stages.addEventListener("dblclick", (event) => {
    event.preventDefault();
    fit();
  });

  // A page scrolls over a viewer that nobody has clicked into.
  stages.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !el.contains(document.activeElement)) return;
      event.preventDefault();
      event.stopPropagation();
      const box = stageAt(event).getBoundingClientRect();
      const lines = event.deltaMode === 1 ? 16 : 1;
      const factor = Math.exp(-clamp(event.deltaY * lines, -120, 120) * (event.ctrlKey ? 0.01 : 0.0025));
      zoomTo(zoom * factor, event.clientX - box.left, event.clientY - box.top);
    },
    { passive: false },
  );

  el.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || stages.hidden) return;
    const step = event.shiftKey ? 0.1 : 0.02;
    const slide = (to) => (mode() === "slider" ? move(to, true) : false);
    const keys = {
      ArrowLeft: () => slide(position - step),
      ArrowRight: () => slide(position + step),
      Home: () => slide(0),
      End: () => slide(1),
      "+": () => zoomTo(zoom * 1.25),
      "=": () => zoomTo(zoom * 1.25),
      "-": () => zoomTo(zoom / 1.25),
      Escape: () => fit(),
    };
    if (!keys[event.key] || keys[event.key]() === false) return;
    event.preventDefault();
    event.stopPropagation();
  });

  // Pictures

  async function received(content, buffers) {
    if (content.type !== "pictures" || (content.view && content.view !== uid)) return;
    if (content.version <= newest) return;
    newest = content.version;
    const loaded = {};
    await Promise.all(content.layers.map(async (layer, at) => (loaded[layer] = await load(buffers[at], "kl-viewer-image"))));
    if (content.version !== newest) {
      Object.values(loaded).forEach((picture) => picture?.release());
      return;
    }
    const shape = base() && frameSize().join();
    for (const layer of LAYERS) {
      pictures[layer]?.release();
      pictures[layer] = loaded[layer] ?? null;
    }
    frame = content.frame;
    failed = Object.values(loaded).includes(null);
    // Stepping through outputs of one size keeps the detail one looks at.
    if (base() && shape !== frameSize().join()) zoom = 1;
    arrange();
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
  model.on("change:mode", arrange);
  model.on("change:message change:left_label change:right_label change:alt", () => {
    write();
    resize();
  });
  model.on("change:position", () => {
    position = model.get("position");
    divide();
  });
  arrange();
  return () => {
    sized.disconnect();
    window.removeEventListener("resize", resize);
    LAYERS.forEach((layer) => pictures[layer]?.release());
  };
}

export default { render };
