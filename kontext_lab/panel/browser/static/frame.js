/* Reports size, theme and keys of the panel this view stands in; copies and saves what Python sends. */

// Inside these a key means something already.
const TYPING = 'textarea, select, [contenteditable]:not([contenteditable="false"]), [role="textbox"]';
const SILENT = new Set(["checkbox", "radio", "button", "submit", "range", "color", "file", "image", "reset"]);
const MOVED_BY_ARROWS = 'input, [role="slider"], [role="tab"], [role="listbox"], [role="combobox"], [role="menu"], [role="spinbutton"]';
const PRESSED_BY = 'button, a[href], summary, input, [role="button"], [role="tab"]';
const ARROWS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"]);

function belongsToTarget(event) {
  const target = event.target;
  if (target.closest(TYPING)) return true;
  if (target.tagName === "INPUT" && !SILENT.has(target.type)) return true;
  if (ARROWS.has(event.key)) return Boolean(target.closest(MOVED_BY_ARROWS));
  if (event.key === "Enter" || event.key === " ") return Boolean(target.closest(PRESSED_BY));
  return false;
}

function luminance(node) {
  for (let at = node; at; at = at.parentElement) {
    const numbers = getComputedStyle(at).backgroundColor.match(/[\d.]+/g)?.map(Number);
    if (!numbers || numbers.length < 3 || numbers[3] === 0) continue;
    return (0.2126 * numbers[0] + 0.7152 * numbers[1] + 0.0722 * numbers[2]) / 255;
  }
  return null;
}

function isDark(node) {
  const { body, documentElement } = document;
  const jupyter = body.dataset.jpThemeLight;
  if (jupyter !== undefined) return jupyter === "false";
  if (body.classList.contains("vscode-light") || body.classList.contains("vscode-high-contrast-light")) return false;
  if (body.classList.contains("vscode-dark") || body.classList.contains("vscode-high-contrast")) return true;
  if (documentElement.getAttribute("theme")) return documentElement.getAttribute("theme") === "dark"; // Colab
  const light = luminance(node);
  return light === null ? matchMedia("(prefers-color-scheme: dark)").matches : light < 0.5;
}

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const held = document.activeElement;
    const area = Object.assign(document.createElement("textarea"), { value: text });
    area.style.cssText = "position:fixed;top:0;left:0;opacity:0";
    document.body.append(area);
    area.select();
    try {
      return document.execCommand("copy");
    } catch {
      return false;
    } finally {
      area.remove();
      held?.focus?.({ preventScroll: true });
    }
  }
}

function save({ name, mime }, data) {
  const url = URL.createObjectURL(new Blob([data], { type: mime }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/* Once a page, however many views there are: a file is saved once. */
function initialize({ model }) {
  model.on("msg:custom", async (content, buffers) => {
    // The same notebook may be open in another tab, which nobody looks at.
    if (document.visibilityState === "hidden" && !document.hasFocus()) return;
    if (content.type === "copy") model.send({ type: "copied", ok: await toClipboard(content.text) });
    if (content.type === "download") save(content, buffers[0]);
  });
}

function render({ model, el }) {
  const undo = [];
  let waiting = 0;
  el.classList.add("kl-frame");
  // A widget that is no part of what is read aloud.
  el.setAttribute("aria-hidden", "true");

  function report(values) {
    const changed = Object.entries(values).filter(([name, value]) => model.get(name) !== value);
    if (!changed.length) return;
    changed.forEach(([name, value]) => model.set(name, value));
    model.save_changes();
  }

  function attach(panel) {
    const measure = () => {
      // 0: hidden, as in a closed tab; the last size still counts.
      if (panel.clientWidth) report({ width: Math.round(panel.clientWidth / 20) * 20 });
    };
    const look = () => {
      const dark = isDark(panel);
      panel.classList.toggle("kl-dark", dark);
      report({ dark });
    };
    const later = () => {
      clearTimeout(waiting);
      waiting = setTimeout(measure, 150);
    };
    const pressed = (event) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (!model.get("watched_keys").includes(event.key) || belongsToTarget(event)) return;
      event.preventDefault();
      model.send({ type: "key", key: event.key });
    };

    // JupyterLab's shortcuts would act on the notebook: 0 0 restarts the kernel.
    panel.setAttribute("data-lm-suppress-shortcuts", "true");
    // A click between the controls gives the panel the focus, so that keys arrive here.
    if (!panel.hasAttribute("tabindex")) panel.tabIndex = -1;
    panel.addEventListener("keydown", pressed);
    // A tab opened by the mouse is no control any more: keys are for what it shows.
    const opened = (event) => event.detail && event.target.closest('[role="tab"]') && panel.focus({ preventScroll: true });
    panel.addEventListener("click", opened);
    const sized = new ResizeObserver(later);
    sized.observe(panel);
    const theme = new MutationObserver(() => requestAnimationFrame(look));
    const attributes = ["class", "style", "theme", "data-jp-theme-light", "data-jp-theme-name", "data-vscode-theme-kind"];
    for (const node of [document.body, document.documentElement]) {
      theme.observe(node, { attributes: true, attributeFilter: attributes });
    }
    // A sign is no name: what a button with one does stands in its title.
    const name = () => {
      for (const button of panel.querySelectorAll("button[title]")) {
        const sign = !/[\p{L}\p{N}]/u.test(button.textContent);
        if (sign && button.getAttribute("aria-label") !== button.title) button.setAttribute("aria-label", button.title);
      }
      // ipywidgets' sliders have neither a name nor the words of their value.
      for (const handle of panel.querySelectorAll(".noUi-handle")) {
        const slider = handle.closest(".widget-slider, .jupyter-widgets");
        const words = { "aria-label": ".widget-label", "aria-valuetext": ".widget-readout" };
        for (const [attribute, part] of Object.entries(words)) {
          const text = slider?.querySelector(part)?.textContent;
          if (text && handle.getAttribute(attribute) !== text) handle.setAttribute(attribute, text);
        }
      }
    };
    const named = new MutationObserver(name);
    named.observe(panel, { childList: true, subtree: true, attributes: true, attributeFilter: ["title"] });
    name();
    const preferred = matchMedia("(prefers-color-scheme: dark)");
    preferred.addEventListener("change", look);
    window.addEventListener("resize", later);
    undo.push(() => {
      panel.removeEventListener("keydown", pressed);
      panel.removeEventListener("click", opened);
      sized.disconnect();
      theme.disconnect();
      named.disconnect();
      preferred.removeEventListener("change", look);
      window.removeEventListener("resize", later);
    });
    look();
    measure();
    // What changed while this page was fetching the panel's state has not reached it.
    model.send({ type: "shown" });
  }

  // ipywidgets makes a view before it puts it into the page.
  let frame = 0;
  const wait = () => {
    const panel = el.isConnected && el.closest(".kl-panel");
    if (panel) attach(panel);
    else frame = requestAnimationFrame(wait);
  };
  wait();
  return () => {
    cancelAnimationFrame(frame);
    clearTimeout(waiting);
    undo.forEach((call) => call());
  };
}

export default { initialize, render };
