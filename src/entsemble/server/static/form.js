// New texts: typed, pasted or dropped files; the labels of the session, and nesting.

import { RequestError, requestJson } from "./api.js";
import { $, button, element, plural, showProblem, showStatus } from "./dom.js";
import { droppedFiles } from "./drop.js";
import { edit, enqueue, on, openDocument, refresh, state } from "./store.js";

const DEFAULT_LABELS = ["person", "organisation", "location"];

// ---- labels

function namedLabels() {
  return [...$("labels").children].flatMap((row) => {
    const [name, definition] = [...row.querySelectorAll("input")].map((input) => input.value.trim());
    return name ? [{ name, definition }] : [];
  });
}

function addLabelRow({ name = "", definition = "" } = {}) {
  const number = $("labels").childElementCount + 1;
  const row = element(
    "li",
    {},
    element("input", { type: "text", value: name, ariaLabel: `Label ${number}`, placeholder: "label" }),
    element("input", { type: "text", value: definition, ariaLabel: `Definition of label ${number}`, placeholder: "what counts (may be empty)", className: "definition" }),
    button("Remove", () => {
      row.remove();
      storeSoon();
    }, { ariaLabel: `Remove label ${number}` }),
  );
  $("labels").append(row);
  return row;
}

async function storeLabels(labels) {
  if (!labels.length || JSON.stringify(labels) === JSON.stringify(state.labels)) return;
  await edit({ action: "labels", labels });
}

function drawLabels() {
  $("nested").checked = state.nested;
  if ($("labels").contains(document.activeElement)) return;
  const labels = state.labels.length ? state.labels : DEFAULT_LABELS.map((name) => ({ name, definition: "" }));
  $("labels").replaceChildren();
  for (const label of labels) addLabelRow(label);
}

// What is in the form is read at once: the answer to an earlier edit may draw it again before this one is sent.
function storeSoon() {
  const labels = namedLabels();
  enqueue(() => storeLabels(labels));
}

// ---- texts and files

async function addText() {
  const text = $("new-text").value;
  if (!text.trim()) return showProblem("Enter a text first, or drop a file anywhere on this page.");
  if (!namedLabels().length) return showProblem("Name at least one label.");
  await storeLabels(namedLabels());
  const { added } = await requestJson("/v1/review/documents", { method: "POST", body: { documents: [{ text }] } });
  $("new-text").value = "";
  await showAdded(added, 1 - added.length, []);
}

// `files` are pairs of a name, with its folders, and the file.
async function addFiles(files) {
  showProblem("");
  await storeLabels(namedLabels());
  const all = [];
  const problems = [];
  let known = 0;
  for (const [number, [name, file]] of files.entries()) {
    showStatus(`reading ${name}, file ${number + 1} of ${files.length} …`);
    try {
      const answer = await requestJson(`/v1/review/files?name=${encodeURIComponent(name)}`, { method: "POST", file });
      all.push(...answer.added);
      known += answer.known;
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      problems.push(error.message.includes(name) ? error.message : `${name}: ${error.message}`);
    }
  }
  if (!files.length) problems.push("There is no file in what you dropped.");
  await showAdded(all, known, problems);
}

async function showAdded(added, known, problems) {
  await refresh();
  if (problems.length) showProblem(problems.join("\n"));
  const notes = [`${plural(added.length, "document")} added`, ...(known ? [`${known} already here`] : [])];
  showStatus(notes.join(", "));
  if (added.length) {
    await openDocument(added[0]);
    $("add").open = false;
    $("text-pane").focus({ preventScroll: true });
  }
}

function startDrops() {
  let depth = 0;
  const hasFiles = (event) => [...event.dataTransfer.types].some((type) => type === "Files" || type === "text/plain");
  const show = (isOver) => document.body.classList.toggle("dropping", isOver);
  document.addEventListener("dragenter", (event) => {
    if (hasFiles(event)) show(++depth > 0);
  });
  document.addEventListener("dragleave", () => show((depth = Math.max(0, depth - 1)) > 0));
  document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    depth = 0;
    show(false);
    if (event.target.closest("textarea, input") && !event.dataTransfer.files.length) return;
    event.preventDefault();
    const dropped = droppedFiles(event.dataTransfer);
    if (dropped.length) enqueue(async () => addFiles((await Promise.all(dropped)).flat()));
    else {
      $("add").open = true;
      $("new-text").value = event.dataTransfer.getData("text");
    }
  });
}

export function startForm() {
  $("add-label").addEventListener("click", () => addLabelRow().querySelector("input").focus());
  $("labels").addEventListener("change", storeSoon);
  $("nested").addEventListener("change", () => {
    const nested = $("nested").checked;
    enqueue(() => edit({ action: "nested", nested }));
  });
  $("extract").addEventListener("click", () => enqueue(addText));
  $("new-text").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    enqueue(addText);
  });
  $("file").addEventListener("change", () => {
    const files = [...$("file").files];
    $("file").value = "";
    enqueue(() => addFiles(files.map((file) => [file.name, file])));
  });
  on("settings", drawLabels);
  startDrops();
}
