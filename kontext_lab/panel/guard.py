"""What the browser itself has to decide about a grid: which turns of the wheel zoom, and where keys go.

A wheel over a grid must not trap the page: only with Ctrl or ⌘, or as a pinch, it is a zoom, and Python would
know too late. ipympl's canvas swallows every key; here they go to the panel, and Tab leads on. Knows no figure.
"""

from __future__ import annotations

import anywidget
import traitlets

__all__ = ["BOX", "Guard"]

BOX = "kontext-canvas"
"""Class of the box that holds a canvas and its guard."""

_SCRIPT = """
function render({ model, el }) {
  el.style.display = "none";
  const undo = [];
  const attach = (box) => {
    const listen = (kind, act) => {
      const options = { passive: false, capture: true };
      box.addEventListener(kind, act, options);
      undo.push(() => box.removeEventListener(kind, act, options));
    };
    listen("wheel", (event) => {
      if (event.ctrlKey || event.metaKey) event.preventDefault();
      else event.stopPropagation();
    });
    for (const kind of ["keydown", "keyup"]) {
      listen(kind, (event) => {
        event.stopPropagation();
        const panel = box.closest(".kl-panel");
        if (panel && !panel.dispatchEvent(new KeyboardEvent(kind, { ...keys(event), cancelable: true })))
          event.preventDefault();
      });
    }
    const name = () => {
      const canvas = box.querySelector("[tabindex]");
      if (!canvas) return false;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", model.get("label"));
      return true;
    };
    model.on("change:label", name);
    undo.push(() => model.off("change:label", name));
    // The canvas may come after its guard.
    const observer = new MutationObserver(() => name() && observer.disconnect());
    if (!name()) observer.observe(box, { childList: true, subtree: true });
    undo.push(() => observer.disconnect());
  };
  let frame = 0;
  const wait = () => {
    const box = el.isConnected && el.closest(".BOX");
    if (box) attach(box);
    else frame = requestAnimationFrame(wait);
  };
  wait();
  return () => {
    cancelAnimationFrame(frame);
    undo.forEach((act) => act());
  };
}
function keys({ key, code, ctrlKey, metaKey, altKey, shiftKey, repeat }) {
  return { key, code, ctrlKey, metaKey, altKey, shiftKey, repeat };
}
export default { render };
"""


class Guard(anywidget.AnyWidget):
    """Nothing to see: it stands beside a canvas in one box.

    Attributes:
        label: what a screen reader says of the canvas.
    """

    _esm = _SCRIPT.replace("BOX", BOX)
    label = traitlets.Unicode("Grid of pictures").tag(sync=True)
