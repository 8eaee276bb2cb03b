/* The part of a grid's mouse and keyboard handling that the browser must do itself.

   A wheel over a grid must not trap the page: it zooms only with Ctrl or ⌘, or as a pinch, and Python would decide too
   late. ipympl's canvas swallows every key: here keys go to the panel, and Tab leads on. It also drops a frame that is
   still being decoded when the next one comes, with the changes in it: here frames wait for each other. */

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
    // The canvas may come after this widget.
    const observer = new MutationObserver(() => name() && observer.disconnect());
    if (!name()) observer.observe(box, { childList: true, subtree: true });
    undo.push(() => observer.disconnect());
  };
  let frame = 0;
  const wait = () => {
    const box = el.isConnected && el.closest(".kontext-canvas");
    if (box) attach(box);
    else frame = requestAnimationFrame(wait);
  };
  wait();
  return () => {
    cancelAnimationFrame(frame);
    undo.forEach((act) => act());
  };
}
/* Frames one after the other; what a whole frame (a JPEG) covers is left out. */
async function queue({ model }) {
  const canvas = await model.widget_manager?.get_model(model.get("canvas"));
  if (!canvas?.image || !canvas.handle_binary || canvas.klFrames) return;
  const draw = canvas.handle_binary.bind(canvas);
  let frames = (canvas.klFrames = []);
  let busy = false;
  const next = () => {
    if (busy || !frames.length) return;
    busy = true;
    const done = () => {
      clearTimeout(late);
      canvas.image.removeEventListener("load", done);
      canvas.image.removeEventListener("error", done);
      busy = false;
      next();
    };
    const late = setTimeout(done, 2000);
    canvas.image.addEventListener("load", done);
    canvas.image.addEventListener("error", done);
    draw(...frames.shift());
  };
  canvas.handle_binary = (content, buffers) => {
    const bytes = ArrayBuffer.isView(buffers[0]) ? buffers[0].buffer : buffers[0];
    if (new Uint8Array(bytes)[0] === 0xff) frames = [];
    frames.push([content, buffers]);
    next();
  };
  // What came before this module was loaded may be lost.
  canvas.send_message("refresh");
}
function keys({ key, code, ctrlKey, metaKey, altKey, shiftKey, repeat }) {
  return { key, code, ctrlKey, metaKey, altKey, shiftKey, repeat };
}
export default { initialize: queue, render };
