// The list of documents: search, filter, progress, and edits of all that it shows.

import { requestJson } from "./api.js";
import { shown } from "./actions.js";
import { $, chunkedDrawing, element, focusText, isNarrow, plural, showStatus } from "./dom.js";
import { edit, enqueue, on, openDocument, state } from "./store.js";

const STATES = { new: "new", work: "in work", done: "done" };
const REDRAWN = 40; // rows that are drawn at once when they change
const rows = new Map(); // id -> the row
let matches = null; // ids that the search has found; `null` for all

const isShown = (summary) => (!matches || matches.has(summary.id)) && ($("state-filter").value === "all" || $("state-filter").value === summary.state);

shown.ids = () => [...state.documents.values()].filter(isShown).map((summary) => summary.id);

function describe(summary) {
  const counts = [plural(summary.mentions, "mention")];
  if (summary.undecided && summary.state !== "new") counts.push(`${summary.undecided} undecided`);
  if (summary.extraction === "waiting") counts.push(`${summary.extracted} of ${plural(summary.sentences, "sentence")} ready`);
  if (summary.extraction === "cancelled") counts.push("cancelled");
  if (summary.extraction === "failed") counts.push("failed");
  return counts.join(", ");
}

function drawRow(summary) {
  let row = rows.get(summary.id);
  if (!row) {
    const open = () => enqueue(async () => {
      await openDocument(summary.id);
      if (isNarrow()) $("list-details").open = false;
      focusText();
    });
    row = element("li", {}, element("button", { type: "button", onclick: open }, element("span", { className: "name" }), element("span", { className: "facts" })));
    rows.set(summary.id, row);
    $("documents").append(row);
  }
  const control = row.firstChild;
  control.firstChild.textContent = summary.name;
  control.lastChild.textContent = `${STATES[summary.state]} · ${describe(summary)}`;
  row.className = summary.state;
  row.hidden = !isShown(summary);
  const isOpen = summary.id === state.open?.id;
  if (isOpen) control.setAttribute("aria-current", "true");
  else control.removeAttribute("aria-current");
}

function drawSummary() {
  const all = state.documents.size;
  const done = [...state.documents.values()].filter((summary) => summary.state === "done").length;
  const count = shown.ids().length;
  $("done-count").textContent = all ? `${done} of ${all} done` : "no documents";
  $("done-bar").max = Math.max(1, all);
  $("done-bar").value = done;
  $("list-count").textContent = count === all ? "" : `${count} shown`;
  for (const node of document.querySelectorAll("[data-bulk]")) node.disabled = !count;
  $("bulk-count").textContent = plural(count, "document");
}

const drawChanged = chunkedDrawing(
  REDRAWN,
  (id) => state.documents.has(id) && drawRow(state.documents.get(id)),
  (id) => Math.abs(id - (state.open?.id ?? 0)),
);

function draw(ids) {
  const isNew = (id) => state.documents.has(id) && !rows.has(id);
  for (const id of ids.filter(isNew)) drawRow(state.documents.get(id)); // in their order
  for (const id of ids) {
    if (state.documents.has(id) || !rows.has(id)) continue;
    rows.get(id).remove();
    rows.delete(id);
  }
  drawChanged(ids);
  if (ids.some((id) => !state.documents.has(id)) || rows.size !== $("documents").childElementCount) sortRows();
  drawSummary();
}

// A document that comes back, when its deletion is undone, returns to its place.
function sortRows() {
  const ids = [...rows.keys()].sort((a, b) => a - b);
  $("documents").replaceChildren(...ids.map((id) => rows.get(id)));
}

function drawAll() {
  for (const summary of state.documents.values()) drawRow(summary);
  drawSummary();
}

async function search() {
  const words = $("search").value.trim();
  matches = words ? new Set((await requestJson(`/v1/review/search?words=${encodeURIComponent(words)}`)).documents) : null;
  drawAll();
}

async function changeShown(node) {
  const action = node.dataset.bulk;
  const documents = shown.ids();
  if (!documents.length) return;
  if (action === "extract") {
    await requestJson("/v1/review/extraction", { method: "POST", body: { documents, again: true } });
    return showStatus(`${plural(documents.length, "document")} will be extracted again; what you decided stays.`);
  }
  const score = Number($("bulk-score").value);
  await edit(node.dataset.scored ? { action, documents, score } : { action, documents });
}

export function startList() {
  $("list-details").open = !isNarrow();
  let timer = null;
  $("search").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => enqueue(search), 150);
  });
  $("search").addEventListener("keydown", (event) => {
    if (event.key === "Escape" || event.key === "Enter") {
      event.preventDefault();
      if (event.key === "Escape") $("search").value = "";
      clearTimeout(timer);
      focusText(); // at once: the next key is for the text
      enqueue(async () => {
        await search();
        const [first] = shown.ids();
        if (event.key === "Enter" && first !== undefined) await openDocument(first);
      });
    }
  });
  $("state-filter").addEventListener("change", drawAll);
  for (const node of document.querySelectorAll("[data-bulk]")) {
    node.addEventListener("click", () => enqueue(() => changeShown(node)));
  }
  $("documents").addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const visible = [...$("documents").querySelectorAll("li:not([hidden]) > button")];
    const at = visible.indexOf(document.activeElement);
    if (!by || at < 0) return;
    event.preventDefault();
    visible[Math.min(visible.length - 1, Math.max(0, at + by))].focus();
  });
  let last = null;
  on("documents", draw);
  on("open", () => {
    const before = last;
    last = state.open?.id ?? null;
    for (const id of [before, last]) if (state.documents.has(id)) drawRow(state.documents.get(id));
    rows.get(last)?.scrollIntoView({ block: "nearest" });
  });
}
