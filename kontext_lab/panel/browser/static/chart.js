/* A picture with spots over it, each a button. The picture comes as a message buffer after this view said "ready". */

function render({ model, el }) {
  const uid = "kl" + Math.random().toString(36).slice(2);
  const layer = make("div", { className: "kl-chart-spots" });
  const sheet = make("div", { className: "kl-chart-sheet" }, layer);
  let newest = -1;
  let picture = null;
  let buttons = [];

  el.classList.add("kl-chart");
  el.append(sheet);
  layer.setAttribute("role", "group");

  function pick(at) {
    model.send({ type: "pick", at });
  }

  function place() {
    buttons = model.get("spots").map(([x, y, label], at) => {
      const spot = make("button", { type: "button", className: "kl-chart-spot", title: label });
      spot.setAttribute("aria-label", label);
      Object.assign(spot.style, { left: `${x * 100}%`, top: `${y * 100}%` });
      spot.addEventListener("click", () => pick(at));
      return spot;
    });
    layer.replaceChildren(...buttons);
    mark();
  }

  function mark() {
    const picked = model.get("picked");
    // One of them is reached by Tab, the others from there by arrows: a chart may have a hundred.
    buttons.forEach((spot, at) => {
      spot.setAttribute("aria-pressed", String(at === picked));
      spot.tabIndex = at === Math.max(0, picked) ? 0 : -1;
    });
  }

  layer.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(event.target);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (at < 0 || !step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    buttons[Math.min(buttons.length - 1, Math.max(0, at + step))].focus();
  });

  async function received(content, buffers) {
    if (content.type !== "picture" || (content.view && content.view !== uid) || content.version <= newest) return;
    newest = content.version;
    const loaded = await load(buffers[0], "kl-chart-image");
    if (content.version !== newest) {
      loaded?.release();
      return;
    }
    picture?.release();
    picture = loaded;
    sheet.replaceChildren(...(picture ? [picture.image, layer] : []));
    write();
  }

  function write() {
    if (picture) picture.image.alt = model.get("alt");
    layer.setAttribute("aria-label", model.get("alt"));
  }

  model.on("msg:custom", received);
  model.on("change:spots", place);
  model.on("change:picked", mark);
  model.on("change:alt", write);
  write();
  place();
  model.send({ type: "ready", view: uid });
  return () => picture?.release();
}

export default { render };
