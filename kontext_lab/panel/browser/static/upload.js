/* Files go to Python in pieces of at most 4 MB, each after the answer to the one before: servers drop
   messages over 10 MB. Big pictures are made smaller here first. */

const MB = 1e6;
const LIMIT = 32 * MB; // any file: no larger one is taken for a reference
const UNREADABLE_LIMIT = 20 * MB; // a file that this browser cannot make smaller
const BYTES = 6 * MB; // a picture over either of these is made smaller
const PIXELS = 4.2e6;
const PIECE = 4 * MB;

const megabytes = (size) => (size / MB).toFixed(size < 10 * MB ? 1 : 0);
const toBlob = (canvas, type) => new Promise((resolve) => canvas.toBlob(resolve, type, 0.95));

class Refused extends Error {}

function hasAlpha(context, width, height) {
  const pixels = context.getImageData(0, 0, width, height).data;
  for (let at = 3; at < pixels.length; at += 4) if (pixels[at] < 255) return true;
  return false;
}

async function decode(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return null;
  }
}

/* Give the bytes to send and what was done to them. */
async function prepare(file) {
  if (file.size > LIMIT) {
    throw new Refused(`${file.name} has ${megabytes(file.size)} MB; up to ${LIMIT / MB} MB can be uploaded`);
  }
  const bitmap = await decode(file);
  if (!bitmap) {
    if (file.size <= UNREADABLE_LIMIT) return { blob: file, note: "" };
    throw new Refused(
      `${file.name} has ${megabytes(file.size)} MB, and this browser cannot make it smaller; ` +
        `up to ${UNREADABLE_LIMIT / MB} MB can be uploaded of such a file`,
    );
  }
  try {
    const { width, height } = bitmap;
    if (width * height <= PIXELS && file.size <= BYTES) return { blob: file, note: "" };
    const scale = Math.min(1, Math.sqrt(4e6 / (width * height)));
    const canvas = make("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const alpha = file.type !== "image/jpeg" && hasAlpha(context, canvas.width, canvas.height);
    const blob = await toBlob(canvas, alpha ? "image/png" : "image/jpeg");
    // A small picture in a big file may have been small for a reason: noise as PNG.
    if (!blob || (scale === 1 && blob.size >= file.size)) return { blob: file, note: "" };
    const how = scale < 1 ? `shrunk from ${width}x${height}` : `compressed from ${megabytes(file.size)} MB`;
    return { blob, note: how };
  } finally {
    bitmap.close();
  }
}

function render({ model, el }) {
  const uid = "kl" + Math.random().toString(36).slice(2);
  const waiting = new Map();
  let count = 0;
  let local = "";
  let line = Promise.resolve();

  const button = make("button", { type: "button" });
  const picker = make("input", { type: "file", multiple: true, accept: "image/*,.heic,.heif,.avif", hidden: true });
  picker.tabIndex = -1;
  const busy = make("span", { className: "kl-upload-busy" });
  const done = make("div", { className: "kl-upload-note" });
  const error = make("div", { className: "kl-upload-error" });
  busy.setAttribute("role", "status");
  done.setAttribute("role", "status");
  error.setAttribute("role", "alert");
  el.classList.add("kl-upload");
  el.append(make("div", { className: "kl-upload-row" }, button, picker, busy), done, error);

  function draw() {
    button.textContent = model.get("label");
    button.title = "Choose pictures, drop them here, or paste one";
    button.disabled = model.get("disabled");
    const text = model.get("busy") || local;
    busy.textContent = text || "or drop, or paste";
    busy.classList.toggle("kl-upload-idle", !text);
    if (error.textContent !== model.get("error")) error.textContent = model.get("error");
  }

  function say(text) {
    local = text;
    draw();
  }

  function fail(text) {
    model.set("error", text);
    model.save_changes();
  }

  const answer = (content, buffers) =>
    new Promise((resolve, reject) => {
      waiting.set(content.id, { resolve, reject });
      model.send(content, undefined, buffers);
    });

  async function send(name, blob, note) {
    const id = `${uid}-${++count}`;
    await answer({ type: "begin", id, name, size: blob.size, note });
    for (let at = 0; at < blob.size; at += PIECE) {
      await answer({ type: "chunk", id, at }, [await blob.slice(at, at + PIECE).arrayBuffer()]);
    }
    await answer({ type: "end", id });
  }

  async function take(file) {
    try {
      say(`Reading ${file.name}`);
      const { blob, note } = await prepare(file);
      say(`Uploading ${file.name}, ${megabytes(blob.size)} MB`);
      await send(file.name, blob, note);
      return note && `${file.name}: ${note}`;
    } catch (trouble) {
      // What Python refused it says itself.
      if (trouble !== "refused") fail(trouble instanceof Refused ? trouble.message : `${file.name}: ${trouble}`);
      return "";
    } finally {
      say("");
    }
  }

  function takeAll(files) {
    if (model.get("disabled") || !files.length) return;
    line = line.then(async () => {
      done.textContent = "";
      fail("");
      const notes = [];
      for (const file of files) notes.push(await take(file));
      done.textContent = notes.filter(Boolean).join(" · ");
    });
  }

  const pictures = (data) => [...(data?.files ?? [])];
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  button.addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    takeAll([...picker.files]);
    picker.value = ""; // the same file may be chosen again
  });
  el.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    el.classList.add("kl-upload-over");
  });
  el.addEventListener("dragleave", (event) => {
    if (!el.contains(event.relatedTarget)) el.classList.remove("kl-upload-over");
  });
  el.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    el.classList.remove("kl-upload-over");
    takeAll(pictures(event.dataTransfer));
  });
  // A picture pasted anywhere in the panel, or next to this widget, is meant for it.
  const pasted = (event) => {
    const place = el.closest(".kl-panel") ?? el;
    if (event.defaultPrevented || !place.contains(event.target)) return;
    const files = pictures(event.clipboardData).filter((file) => file.type.startsWith("image/"));
    if (!files.length) return;
    event.preventDefault();
    event.stopPropagation();
    takeAll(files);
  };
  document.addEventListener("paste", pasted, true);

  model.on("change:label change:disabled change:busy change:error", draw);
  model.on("msg:custom", (message) => {
    const asked = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.type === "got") asked?.resolve();
    else asked?.reject("refused");
  });
  draw();
  return () => document.removeEventListener("paste", pasted, true);
}

export default { render };
