/* The key leaves by one message and stays nowhere: not in the model, not in the input. */

function render({ model, el }) {
  const uid = "kl" + Math.random().toString(36).slice(2);
  const label = Object.assign(document.createElement("label"), { htmlFor: uid });
  const input = Object.assign(document.createElement("input"), {
    id: uid,
    type: "password",
    autocomplete: "off",
    spellcheck: false,
  });
  // Password managers take it for a login otherwise.
  for (const name of ["data-1p-ignore", "data-lpignore", "data-bwignore"]) input.setAttribute(name, "true");
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Use" });
  const status = Object.assign(document.createElement("span"), { className: "kl-key-status", id: uid + "s" });
  status.setAttribute("role", "status");
  input.setAttribute("aria-describedby", status.id);
  el.classList.add("kl-key");
  el.append(label, input, button, status);

  function send() {
    const key = input.value.trim();
    input.value = "";
    draw();
    if (key) model.send({ type: "key", key });
  }

  function draw() {
    label.textContent = model.get("label");
    button.setAttribute("aria-label", `Use this ${model.get("label")}`);
    input.disabled = model.get("disabled");
    button.disabled = input.disabled || !input.value.trim();
    status.textContent = model.get("status");
  }

  button.addEventListener("click", send);
  input.addEventListener("input", draw);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    event.stopPropagation();
    send();
  });
  model.on("change:label change:status change:disabled", draw);
  draw();
}

export default { render };
