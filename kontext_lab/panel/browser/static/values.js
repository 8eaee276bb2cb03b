/* The tag input. `value` is changed by Python alone: what is asked for is shown at once and
   dropped when Python's answer says that `value` has it now. */

const DICE =
  '<svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true"><rect x="1.5" y="1.5" width="13" height="13" ' +
  'rx="3" fill="none" stroke="currentColor" stroke-width="1.3"/><g fill="currentColor"><circle cx="5" cy="5" r="1.2"/>' +
  '<circle cx="11" cy="5" r="1.2"/><circle cx="8" cy="8" r="1.2"/><circle cx="5" cy="11" r="1.2"/>' +
  '<circle cx="11" cy="11" r="1.2"/></g></svg>';

function render({ model, el }) {
  const uid = "kl" + Math.random().toString(36).slice(2);
  const asked = new Map();
  let count = 0;
  let editing = null; // the value that stands in the input
  let active = -1; // the marked suggestion
  let timer = 0;
  let mine = false;

  const label = make("label", { className: "kl-values-label", htmlFor: uid });
  const input = make("input", { id: uid, type: "text", autocomplete: "off", spellcheck: false });
  const box = make("div", { className: "kl-values-box" });
  const buttons = make("span", { className: "kl-values-actions" });
  const error = make("div", { className: "kl-values-error", id: uid + "e" });
  const list = make("div", { className: "kl-values-options", id: uid + "o", hidden: true });
  error.setAttribute("role", "alert");
  list.setAttribute("role", "listbox");
  input.setAttribute("aria-describedby", `${uid}e`);
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-controls", uid + "o");
  input.setAttribute("aria-expanded", "false");
  box.setAttribute("role", "group");
  box.append(input, buttons);
  // An element in the top layer is not cut off by the notebook's cell.
  if (list.showPopover) list.setAttribute("popover", "manual");
  const body = make("div", { className: "kl-values-body" }, box, error, list);
  el.classList.add("kl-values");
  el.append(label, body);

  const nameOf = (value) => model.get("names")[value] ?? value;

  function ask(op) {
    op.id = `${uid}-${++count}`;
    asked.set(op.id, op);
    model.send(op);
    draw();
  }

  function shownTags() {
    let tags = model.get("value").map((value) => ({ value, text: nameOf(value) }));
    for (const op of asked.values()) {
      if (op.type === "remove") tags = tags.filter((tag) => tag.value !== op.value);
      else if (op.replaces !== undefined) {
        tags = tags.map((tag) => (tag.value === op.replaces ? { text: op.text } : tag));
      } else tags = [...tags, { text: op.text }];
    }
    return tags;
  }

  function drawTag(tag, at) {
    if (tag.value === undefined) {
      return make("span", { className: "kl-tag kl-tag-asked", textContent: tag.text, title: tag.text });
    }
    const wrong = model.get("errors")[tag.value];
    const text = make("button", { type: "button", className: "kl-tag-text", textContent: tag.text, tabIndex: -1 });
    text.title = wrong ? `${tag.value}: ${wrong}` : tag.value;
    text.setAttribute("aria-label", `edit ${tag.text}` + (wrong ? `, wrong: ${wrong}` : ""));
    const cross = make("button", { type: "button", className: "kl-tag-remove", textContent: "×", tabIndex: -1 });
    cross.setAttribute("aria-label", `remove ${tag.text}`);
    const node = make("span", { className: "kl-tag" }, text, cross);
    if (wrong) {
      node.classList.add("kl-tag-wrong");
      node.setAttribute("aria-invalid", "true");
    }
    text.disabled = cross.disabled = model.get("disabled");
    text.addEventListener("click", () => edit(tag.value));
    cross.addEventListener("click", () => {
      ask({ type: "remove", value: tag.value });
      input.focus();
    });
    node.addEventListener("keydown", (event) => walk(event, tag, at));
    return node;
  }

  const tagNodes = () => [...box.querySelectorAll(".kl-tag-text")];

  function walk(event, tag, at) {
    const nodes = tagNodes();
    const here = nodes.indexOf(event.currentTarget.querySelector(".kl-tag-text"));
    const go = { ArrowLeft: nodes[here - 1] ?? nodes[0], ArrowRight: nodes[here + 1] ?? input, Home: nodes[0], End: input };
    if (go[event.key]) go[event.key].focus();
    else if (event.key === "Backspace" || event.key === "Delete") {
      ask({ type: "remove", value: tag.value });
      (tagNodes()[event.key === "Delete" ? here : here - 1] ?? input).focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function draw() {
    const held = tagNodes().indexOf(document.activeElement);
    box.querySelectorAll(".kl-tag").forEach((node) => node.remove());
    const tags = shownTags();
    let place = input; // tags behind the edited one stand behind the input, which never leaves the page
    let before = true;
    tags.forEach((tag, at) => {
      if (editing !== null && tag.value === editing) {
        before = false;
        return;
      }
      const node = drawTag(tag, at);
      if (before) box.insertBefore(node, place);
      else box.insertBefore(node, buttons);
    });
    if (held >= 0) (tagNodes()[Math.min(held, tagNodes().length - 1)] ?? input).focus();
    input.placeholder = tags.length ? "" : model.get("placeholder");
    fit();
    drawLines(tags);
  }

  function drawLines(tags) {
    const wrong = model.get("errors");
    const first = tags.find((tag) => tag.value !== undefined && wrong[tag.value]);
    const said = model.get("error") || (first ? `${first.text}: ${wrong[first.value]}` : "");
    if (error.textContent !== said) error.textContent = said;
    box.classList.toggle("kl-values-bad", Boolean(said));
    input.setAttribute("aria-invalid", String(Boolean(said)));
  }

  function drawRest() {
    label.textContent = model.get("label");
    label.title = model.get("hint");
    box.setAttribute("aria-label", `values of ${model.get("label")}`);
    list.setAttribute("aria-label", `suggestions for ${model.get("label")}`);
    input.disabled = model.get("disabled");
    box.classList.toggle("kl-values-disabled", input.disabled);
    buttons.replaceChildren(
      ...model.get("actions").map((name) => {
        const title = model.get("action_titles")[name] ?? name;
        const button = make("button", { type: "button", title, disabled: input.disabled });
        button.setAttribute("aria-label", title);
        if (name === "dice") button.innerHTML = DICE;
        else button.textContent = name;
        button.addEventListener("click", () => model.send({ type: "action", name }));
        return button;
      }),
    );
    draw();
  }

  const fit = () => {
    const text = input.value || input.placeholder;
    input.style.minWidth = `min(100%, ${Math.max(1.5, text.length ? text.length + 1.5 : 0)}ch)`;
  };

  function setPending(text) {
    clearTimeout(timer);
    if (model.get("pending") === text) return;
    mine = true;
    model.set("pending", text);
    model.save_changes();
    mine = false;
  }

  function put(text) {
    input.value = text;
    setPending(text);
    draw();
  }

  function edit(value) {
    if (input.value.trim()) commit();
    editing = value;
    put(value);
    input.focus();
    input.select();
  }

  function commit() {
    const text = input.value.trim();
    const replaces = editing;
    editing = null;
    input.value = "";
    setPending("");
    close();
    if (!text && replaces !== null) ask({ type: "remove", value: replaces });
    else if (!text || text === replaces) draw();
    else ask(replaces === null ? { type: "commit", text } : { type: "commit", text, replaces });
  }

  function answered(message) {
    const op = asked.get(message.id);
    if (message.type !== "done" || !op) return;
    asked.delete(message.id);
    if (!message.ok && op.type === "commit") {
      if (editing === null && op.replaces !== undefined && !input.value) editing = op.replaces;
      const typed = input.value.trim();
      if (typed !== op.text) input.value = typed ? [op.text, typed].join(model.get("commas") ? ", " : " ") : op.text;
      setPending(input.value);
    }
    draw();
  }

  // Suggestions

  function matches() {
    const typed = (editing !== null && input.value === editing ? "" : input.value).trim().toLowerCase();
    const taken = new Set(model.get("value"));
    return model
      .get("options")
      .filter((option) => !taken.has(option) && `${option}\n${nameOf(option)}`.toLowerCase().includes(typed));
  }

  function close() {
    active = -1;
    if (list.showPopover && list.matches(":popover-open")) list.hidePopover();
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function open() {
    const found = matches();
    if (!found.length || input.disabled) return close();
    active = Math.min(active, found.length - 1);
    list.replaceChildren(
      ...found.map((option, at) => {
        const node = make("div", { id: `${uid}o${at}`, className: "kl-values-option", textContent: nameOf(option) });
        node.setAttribute("role", "option");
        node.setAttribute("aria-selected", String(at === active));
        node.title = option;
        node.dataset.value = option;
        return node;
      }),
    );
    list.hidden = false;
    if (list.showPopover && !list.matches(":popover-open")) list.showPopover();
    const at = box.getBoundingClientRect();
    const below = window.innerHeight - at.bottom;
    const up = below < 160 && at.top > below;
    const top = list.showPopover ? (up ? at.top - list.offsetHeight - 2 : at.bottom + 2) : box.offsetHeight + 2;
    Object.assign(list.style, {
      left: list.showPopover ? `${at.left}px` : "0",
      top: `${top}px`,
      minWidth: `${Math.min(at.width, 240)}px`,
    });
    input.setAttribute("aria-expanded", "true");
    if (active >= 0) {
      input.setAttribute("aria-activedescendant", `${uid}o${active}`);
      list.children[active].scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }

  list.addEventListener("mousedown", (event) => {
    event.preventDefault(); // the input keeps the focus
    const option = event.target.closest(".kl-values-option");
    if (!option) return;
    input.value = option.dataset.value;
    commit();
    open();
  });

  // The input

  const KEYS = {
    Enter: () => {
      if (active >= 0) input.value = matches()[active] ?? input.value;
      commit();
    },
    Escape: () => {
      if (!list.hidden) return close();
      if (editing === null && !input.value) return false;
      editing = null;
      put("");
    },
    ArrowDown: () => {
      if (!model.get("options").length) return false;
      active = list.hidden ? -1 : active;
      active = Math.min(active + 1, matches().length - 1);
      open();
    },
    ArrowUp: () => {
      if (list.hidden) return false;
      active = Math.max(active - 1, -1);
      open();
    },
    ArrowLeft: () => {
      const node = tagNodes().filter((tag) => tag.compareDocumentPosition(input) & Node.DOCUMENT_POSITION_FOLLOWING).at(-1);
      if (input.selectionEnd > 0 || !node) return false;
      node.focus();
    },
    Backspace: () => {
      const last = shownTags().at(-1);
      if (input.value || editing !== null || last?.value === undefined) return false;
      ask({ type: "remove", value: last.value });
    },
    ",": () => {
      if (!model.get("commas") || input.selectionStart < input.value.length) return false;
      if (input.value.trim()) commit();
    },
  };

  input.addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (KEYS[event.key] && KEYS[event.key]() !== false) {
      event.preventDefault();
      event.stopPropagation();
    }
  });
  input.addEventListener("input", () => {
    fit();
    active = -1;
    open();
    clearTimeout(timer);
    timer = setTimeout(() => setPending(input.value), 150);
  });
  input.addEventListener("paste", (event) => {
    const lines = (event.clipboardData?.getData("text/plain") ?? "").split(/[\r\n]+/).filter((line) => line.trim());
    if (lines.length < 2) return;
    event.preventDefault();
    for (const line of lines) {
      input.value += line;
      commit();
    }
  });
  input.addEventListener("focus", () => model.get("options").length && open());
  input.addEventListener("blur", () => {
    close();
    // Another window has the focus now; the person is still typing here.
    if (document.activeElement === input) return;
    if (input.value.trim() || editing !== null) commit();
  });
  box.addEventListener("mousedown", (event) => {
    if (event.target !== box) return;
    event.preventDefault();
    input.focus();
  });
  const scrolled = (event) => event.target !== list && close();
  window.addEventListener("scroll", scrolled, true);

  model.on("change:value change:names change:errors change:error change:placeholder", draw);
  model.on("change:label change:hint change:actions change:action_titles change:disabled", drawRest);
  model.on("change:options", () => !list.hidden && open());
  model.on("change:pending", () => {
    if (mine || (document.activeElement === input && input.value)) return;
    input.value = model.get("pending");
    fit();
  });
  model.on("msg:custom", answered);
  input.value = model.get("pending");
  drawRest();
  return () => {
    clearTimeout(timer);
    window.removeEventListener("scroll", scrolled, true);
  };
}

export default { render };
