// Elements, and the messages that the whole page shows.

export const $ = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export function button(text, action, attributes = {}) {
  return element("button", { type: "button", onclick: action, ...attributes }, text);
}

// A button that shows the key that does the same.
export function keyButton(text, key, action, attributes = {}) {
  return element("button", { type: "button", onclick: action, ...attributes }, text, " ", element("kbd", {}, key));
}

export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

// What went wrong; stays until the next action, or until it is closed.
export function showProblem(text) {
  $("problem").textContent = text;
  $("close-problem").hidden = !text;
}

// What was done; read out, and replaced by the next one.
export function showStatus(text) {
  $("status").textContent = text;
}

// Draws items that have changed: the nearest ones at once, the others while the page answers already.
export function chunkedDrawing(size, draw, distance) {
  const waiting = new Set();
  let frame = null;
  const drawNearest = () => {
    frame = null;
    const ordered = waiting.size > size ? [...waiting].sort((a, b) => distance(a) - distance(b)) : [...waiting];
    for (const item of ordered.slice(0, size)) {
      waiting.delete(item);
      draw(item);
    }
    if (waiting.size) frame = requestAnimationFrame(drawNearest);
  };
  return (items) => {
    for (const item of items) waiting.add(item);
    cancelAnimationFrame(frame);
    drawNearest();
  };
}

export function isNarrow() {
  return window.matchMedia("(max-width: 63.99rem)").matches;
}

// Focus goes back to the text after a click, so that keys work there.
export function focusText() {
  $("text-pane").focus({ preventScroll: true });
}

export function duration(seconds) {
  if (seconds < 60) return "less than a minute";
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `about ${minutes} min` : `about ${Math.round(minutes / 60)} h`;
}
