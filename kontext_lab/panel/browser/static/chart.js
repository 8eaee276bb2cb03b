/* A picture with spots over it, each a button. The picture comes as a message buffer after this view said "ready". */

const make = (tag, props = {}, ...kids) => {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...kids);
  return node;
};

function render({ model, el }) {
  const uid = "kl" + Math.random().toString(36).slice(2);
  const image = make("img", { className: "kl-chart-image", draggable: false });
  const layer = make("div", { className: "kl-chart-spots" });
  const sheet = make("div", { className: "kl-chart-sheet" }, image, layer);
  let newest = -1;
  let url = "";
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

  function received(content, buffers) {
    if (content.type !== "picture" || (content.view && content.view !== uid) || content.version <= newest) return;
    newest = content.version;
    const next = URL.createObjectURL(new Blob([buffers[0]]));
    const before = url;
    url = next;
    image.onload = () => before && URL.revokeObjectURL(before);
    image.onerror = () => {
      // Some pages forbid pictures from blob addresses.
      image.onerror = null;
      const reader = new FileReader();
      reader.onload = () => (image.src = reader.result);
      reader.readAsDataURL(new Blob([buffers[0]]));
    };
    image.src = next;
  }

  function write() {
    image.alt = model.get("alt");
    layer.setAttribute("aria-label", model.get("alt"));
  }

  model.on("msg:custom", received);
  model.on("change:spots", place);
  model.on("change:picked", mark);
  model.on("change:alt", write);
  write();
  place();
  model.send({ type: "ready", view: uid });
  return () => url && URL.revokeObjectURL(url);
}

export default { render };
