// The page: display, mouse and keyboard, and corrections.

import { RequestError, requestEvents, requestFile, requestJson, setKey } from "./api.js";
import { inTextOrder, pageDocument, pointsBefore, renderSentence, sentenceAt, surface, withNumber, wordOffsets } from "./text.js";

const $ = (id) => document.getElementById(id);
const LABELS_KEY = "entsemble-labels";
const DEFAULT_LABELS = { person: "", organisation: "", location: "" };
const UNSURE_BELOW = 0.6;
const REVIEW_LENGTH = 20;
const POOL_PAGE = 50;

const state = {
  documents: [],
  pending: null, // the documents of a file that has been opened
  current: null, // { document, mention }
  hidden: new Set(), // labels
  minScore: 0,
  controller: null, // AbortController of the running extraction
  poolTexts: new Map(), // id -> text, of demonstrations
};

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function showMessage(text) {
  $("message").textContent = text;
}

async function reportErrors(action) {
  try {
    showMessage("");
    return await action();
  } catch (error) {
    if (error.name === "AbortError") return showMessage("Cancelled.");
    if (error instanceof RequestError && error.status === 401) return askForKey();
    showMessage(error instanceof RequestError ? error.message : `The server did not answer (${error.message}).`);
  }
}

// ---- labels

function labels() {
  const definitions = {};
  for (const row of $("labels").children) {
    const [name, definition] = row.querySelectorAll("input");
    if (name.value.trim()) definitions[name.value.trim()] = definition.value.trim();
  }
  return definitions;
}

function addLabel(name = "", definition = "") {
  const number = $("labels").children.length + 1;
  const row = element(
    "li",
    {},
    element("input", { type: "text", value: name, ariaLabel: `Label ${number}`, placeholder: "label" }),
    element("input", { type: "text", value: definition, ariaLabel: `Definition of label ${number}`, placeholder: "what counts (may be empty)", className: "definition" }),
    element("button", { type: "button", ariaLabel: `Remove label ${number}`, onclick: () => { row.remove(); storeLabels(); } }, "Remove"),
  );
  $("labels").append(row);
  return row;
}

function storeLabels() {
  localStorage.setItem(LABELS_KEY, JSON.stringify(labels()));
  showFilters();
}

function hue(label) {
  let sum = 0;
  for (const point of Array.from(label)) sum = (sum * 31 + point.codePointAt(0)) % 360;
  return String((sum * 137) % 360);
}

// ---- extraction

const hasUnsaved = () => state.documents.some((doc) => doc.changedSentences.size > 0);

async function extract() {
  const documents = state.pending ?? [{ text: $("text").value }];
  if (!documents.some((d) => d.text.trim())) return showMessage("Enter a text first.");
  const requestedLabels = labels();
  if (!Object.keys(requestedLabels).length) return showMessage("Name at least one label.");
  if (hasUnsaved() && !window.confirm("Some corrections are not saved. Continue without them?")) return;
  storeLabels();
  state.controller = new AbortController();
  state.documents = [];
  select(null);
  showResult();
  $("extract").disabled = true;
  $("cancel").hidden = $("progress").hidden = false;
  $("progress").removeAttribute("value");
  let failed = "";
  await reportErrors(() =>
    requestEvents("/v1/extract", { documents, labels: requestedLabels, nested: $("nested").checked || null }, state.controller.signal, (event, data) => {
      if (event === "progress") {
        $("progress").max = data.sentences;
        $("progress").value = data.done;
      } else if (event === "document") {
        state.documents.push(pageDocument(data));
        showResult();
      } else if (event === "failed") failed = `${data.id}: ${data.error}`;
      else if (event === "error") failed = data.error;
    }),
  );
  if (failed) showMessage(failed);
  state.controller = null;
  $("extract").disabled = false;
  $("cancel").hidden = $("progress").hidden = true;
  showResult();
}

// ---- result

const isVisible = (mention) => !state.hidden.has(mention.label) && (mention.score ?? 1) >= state.minScore;

function decorate(mark, mention) {
  mark.style.setProperty("--hue", hue(mention.label));
  mark.dataset.label = mention.label;
  mark.classList.toggle("unsure", mention.state === "" && (mention.score ?? 1) < UNSURE_BELOW);
  mark.classList.toggle("accepted", mention.state !== "");
  if (state.current?.mention === mention) {
    mark.classList.add("current");
    mark.id = "current-mention";
  }
}

function updateSentence(doc, i) {
  const [from, to] = doc.sentences[i];
  const within = doc.mentions.filter((m) => from <= m.start && m.end <= to && isVisible(m));
  doc.elements[i].replaceChildren(renderSentence(doc, i, within, decorate));
}

function showResult() {
  const parts = state.documents.map((doc, d) => {
    doc.elements = doc.sentences.map((_, i) => element("span", { className: "sentence" }));
    doc.elements.forEach((e, i) => { e.dataset.document = d; e.dataset.sentence = i; });
    const nodes = [];
    let at = 0;
    doc.sentences.forEach(([from, to], i) => {
      nodes.push(surface(doc, at, from), doc.elements[i]);
      at = to;
    });
    nodes.push(surface(doc, at, doc.points.length));
    return element("div", { className: "document" }, ...nodes);
  });
  $("result").replaceChildren(...parts);
  for (const doc of state.documents) doc.sentences.forEach((_, i) => updateSentence(doc, i));
  refresh();
}

function refresh() {
  showFilters();
  const all = allMentions();
  const sentences = state.documents.reduce((n, d) => n + d.changedSentences.size, 0);
  const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
  $("summary").textContent = state.documents.length
    ? `${plural(all.length, "mention")} in ${plural(state.documents.length, "document")}${sentences ? `; ${plural(sentences, "sentence")} to save, with all their mentions` : ""}`
    : "";
  $("save").disabled = !sentences;
  $("export").disabled = !state.documents.length;
  showQueue(all);
  showRejected();
  if (state.current) $("result").setAttribute("aria-activedescendant", "current-mention");
  else $("result").removeAttribute("aria-activedescendant");
}

const allMentions = () => state.documents.flatMap((doc) => inTextOrder(doc.mentions).map((mention) => ({ doc, mention })));

function showFilters() {
  const counts = new Map(Object.keys(labels()).map((label) => [label, 0]));
  for (const { mention } of allMentions()) counts.set(mention.label, (counts.get(mention.label) ?? 0) + 1);
  $("filters").replaceChildren(
    ...[...counts].map(([label, count]) => {
      const chip = element("button", { type: "button", className: "chip", ariaPressed: String(!state.hidden.has(label)) }, `${label} ${count}`);
      chip.style.setProperty("--hue", hue(label));
      chip.addEventListener("click", () => {
        state.hidden.has(label) ? state.hidden.delete(label) : state.hidden.add(label);
        showResult();
        [...$("filters").children].find((c) => c.textContent.startsWith(label))?.focus();
      });
      return chip;
    }),
  );
}

function mentionsToReview(all = allMentions()) {
  return all.filter(({ mention }) => mention.state === "" && isVisible(mention)).sort((a, b) => (a.mention.score ?? 1) - (b.mention.score ?? 1));
}

function showQueue(all) {
  const toReview = mentionsToReview(all);
  $("queue-none").hidden = toReview.length > 0;
  $("queue").replaceChildren(
    ...toReview.slice(0, REVIEW_LENGTH).map(({ doc, mention }) =>
      element("li", {}, element("button", { type: "button", onclick: () => { select(doc, mention); $("result").focus(); } }, `${mention.text} · ${mention.label} · ${(mention.score ?? 1).toFixed(2)}`)),
    ),
  );
}

function showRejected() {
  const rejected = state.documents.flatMap((doc) => doc.ledger.filter((e) => e.fate !== "kept"));
  $("rejected-count").textContent = rejected.length ? `(${rejected.length})` : "";
  $("rejected").replaceChildren(
    ...rejected.slice(0, 500).map((e) => element("li", {}, `${e.text}: `, element("span", { className: "quiet" }, `${e.fate}${e.label ? `, ${e.label}` : ""}${e.detail ? `, ${e.detail}` : ""}; proposed by ${e.members.join(", ")}`))),
  );
}

// ---- current mention

function select(doc, mention) {
  const before = state.current;
  state.current = mention ? { doc, mention } : null;
  for (const one of [before, state.current]) {
    if (one && state.documents.includes(one.doc)) redraw(one.doc, one.mention);
  }
  if (mention) $("current-mention")?.scrollIntoView({ block: "nearest" });
  refresh();
  detail();
}

function redraw(doc, mention) {
  const i = sentenceAt(doc, mention.start, mention.end);
  if (i >= 0 && doc.elements) updateSentence(doc, i);
}

function step(by) {
  const all = allMentions().filter(({ mention }) => isVisible(mention));
  if (!all.length) return;
  const at = all.findIndex(({ mention }) => mention === state.current?.mention);
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : (at + by + all.length) % all.length];
  select(next.doc, next.mention);
}

function detail() {
  if (!state.current) return $("detail").replaceChildren(element("p", {}, "Select a mention to see which members proposed it and how they voted."));
  const { doc, mention } = state.current;
  const accepted = doc.ledger.find((e) => e.start === mention.start && e.end === mention.end && e.fate === "kept");
  const verified = doc.verified.find(([start, end]) => start === mention.start && end === mention.end);
  const rows = [
    ["text", mention.text],
    ["label", mention.label],
    ["score", mention.score == null ? "yours" : mention.score.toFixed(2)],
    ["place", `${mention.start} to ${mention.end}`],
    ["proposed by", accepted ? accepted.members.join(", ") : "you"],
    ...Object.entries(mention.votes).map(([member, label]) => [`vote of ${member}`, label]),
    ...(verified ? [["verifier", verified[2] ? "yes" : "no"]] : []),
    ...(mention.state ? [["you", mention.state]] : []),
  ];
  const list = element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  const relabel = element("select", { ariaLabel: "Label", onchange: (e) => change({ label: e.target.value }) }, ...[...new Set([...Object.keys(labels()), mention.label])].map((label) => element("option", { selected: label === mention.label }, label)));
  const button = (text, work) => element("button", { type: "button", onclick: work }, text);
  const demonstrationList = element("ul", {});
  const sentence = doc.sentences.findIndex(([from, to]) => from <= mention.start && mention.end <= to);
  $("detail").replaceChildren(
    list,
    element("div", { className: "row" }, button("Accept", accept), button("Reject", reject), relabel),
    element("div", { className: "row" }, "Start", button("◀ word", () => moveEdge("start", -1)), button("word ▶", () => moveEdge("start", 1))),
    element("div", { className: "row" }, "End", button("◀ word", () => moveEdge("end", -1)), button("word ▶", () => moveEdge("end", 1))),
    element("details", {}, element("summary", {}, `Demonstrations (${(doc.demonstrations[sentence] ?? []).length})`), demonstrationList),
  );
  listDemonstrations(doc.demonstrations[sentence] ?? [], demonstrationList);
}

async function listDemonstrations(ids, list) {
  for (const id of ids) {
    const documentId = id.replace(/#\d+$/, "");
    if (!state.poolTexts.has(documentId)) {
      try {
        state.poolTexts.set(documentId, (await requestJson(`/v1/pool/${encodeURIComponent(documentId)}`)).text);
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        state.poolTexts.set(documentId, "(no longer in the pool)");
      }
    }
    list.append(element("li", {}, state.poolTexts.get(documentId)));
  }
}

// ---- corrections

function markChanged(doc, ...mentions) {
  for (const m of mentions) {
    const i = sentenceAt(doc, m.start, m.end);
    if (i >= 0) doc.changedSentences.add(i);
  }
}

function accept() {
  const { doc, mention } = state.current ?? {};
  if (!mention) return;
  mention.state = mention.state || "accepted";
  markChanged(doc, mention);
  select(doc, mention);
}

function reject() {
  const { doc, mention } = state.current ?? {};
  if (!mention) return;
  const all = allMentions().filter((one) => isVisible(one.mention));
  const at = all.findIndex((one) => one.mention === mention);
  doc.mentions = doc.mentions.filter((m) => m !== mention);
  doc.ledger = doc.ledger.map((e) => (e.fate === "kept" && e.start === mention.start && e.end === mention.end ? { ...e, fate: "rejected by you" } : e));
  markChanged(doc, mention);
  redraw(doc, mention);
  const next = all[at + 1] ?? all[at - 1];
  select(next?.doc ?? null, next?.mention ?? null);
}

function change(values) {
  const { doc, mention } = state.current ?? {};
  if (!mention) return;
  const changed = { ...mention, ...values };
  if (doc.mentions.some((m) => m !== mention && m.start === changed.start && m.end === changed.end && m.label === changed.label)) return showMessage("This mention exists already.");
  markChanged(doc, mention);
  redraw(doc, mention);
  Object.assign(mention, values, { state: "changed", text: surface(doc, changed.start, changed.end) });
  markChanged(doc, mention);
  select(doc, mention);
}

function moveEdge(side, by) {
  const { doc, mention } = state.current ?? {};
  if (!mention) return;
  const sentence = sentenceAt(doc, mention.start, mention.end);
  const edges = wordOffsets(doc, sentence).map((w) => w[side === "start" ? 0 : 1]);
  const current = mention[side];
  const next = by > 0 ? edges.find((offset) => offset > current) : edges.filter((offset) => offset < current).at(-1);
  const moved = { start: mention.start, end: mention.end, [side]: next };
  if (next === undefined || moved.start >= moved.end) return;
  change({ [side]: next });
}

function add(doc, start, end) {
  while (start < end && !doc.points[start].trim()) start++;
  while (start < end && !doc.points[end - 1].trim()) end--;
  if (start >= end) return;
  if (sentenceAt(doc, start, end) < 0) return showMessage("A mention must lie within one sentence.");
  const existing = doc.mentions.find((m) => m.start === start && m.end === end);
  if (existing) return select(doc, existing);
  const label = Object.keys(labels())[0];
  if (!label) return showMessage("Name at least one label.");
  const added = withNumber({ start, end, label, text: surface(doc, start, end), score: null, votes: {}, state: "added" });
  doc.mentions.push(added);
  markChanged(doc, added);
  select(doc, added);
}

// For the keyboard: adds the word after the current mention, or the first word; its edges can then be moved.
function addNext() {
  const doc = state.current?.doc ?? state.documents[0];
  if (!doc) return;
  const after = state.current?.mention.end ?? 0;
  const next = doc.sentences.flatMap((_, i) => wordOffsets(doc, i)).find(([start, end]) => start >= after && !doc.mentions.some((m) => m.start < end && start < m.end));
  if (next) add(doc, ...next);
}

function addSelection() {
  const selection = window.getSelection();
  if (!selection || selection.isCollapsed || !selection.rangeCount) return false;
  const range = selection.getRangeAt(0);
  const places = [[range.startContainer, range.startOffset], [range.endContainer, range.endOffset]].map(([node, offset]) => {
    const sentence = (node.nodeType === Node.TEXT_NODE ? node.parentElement : node).closest?.("#result .sentence");
    if (!sentence) return null;
    const doc = state.documents[sentence.dataset.document];
    return { doc, at: doc.sentences[sentence.dataset.sentence][0] + pointsBefore(sentence, node, offset) };
  });
  if (!places[0] || !places[1] || places[0].doc !== places[1].doc) return false;
  selection.removeAllRanges();
  add(places[0].doc, places[0].at, places[1].at);
  return true;
}

async function save() {
  const snapshot = state.documents.map((doc) => ({ doc, changedSentences: doc.changedSentences }));
  const documents = snapshot.flatMap(({ doc, changedSentences }) =>
    [...changedSentences].map((i) => {
      const [from, to] = doc.sentences[i];
      const within = doc.mentions.filter((m) => from <= m.start && m.end <= to);
      return { text: surface(doc, from, to), mentions: within.map((m) => ({ start: m.start - from, end: m.end - from, label: m.label })) };
    }),
  );
  if (!documents.length) return;
  for (const { doc } of snapshot) doc.changedSentences = new Set(); // later corrections are saved next time
  const stored = await reportErrors(() => requestJson("/v1/pool", { method: "POST", body: { documents } }));
  for (const { doc, changedSentences } of snapshot) {
    if (!stored) for (const i of changedSentences) doc.changedSentences.add(i);
    else for (const mention of doc.mentions) if (changedSentences.has(sentenceAt(doc, mention.start, mention.end))) mention.state ||= "accepted";
  }
  if (!stored) return refresh();
  showResult();
  $("summary").textContent = `${documents.length} sentence${documents.length === 1 ? "" : "s"} saved to the pool, which the next extraction uses.`;
  await showPool();
}

async function showPool(more = false) {
  const offset = more ? $("pool").children.length : 0;
  const response = await reportErrors(() => requestJson(`/v1/pool?offset=${offset}&limit=${POOL_PAGE}`));
  if (!response) return;
  $("pool-count").textContent = `(${response.total})`;
  const rows = response.documents.map((d) =>
    element("li", {}, d.text, " ", element("span", { className: "quiet" }, d.mentions.map((m) => `${m.text}: ${m.label}`).join("; ") || "no mention"), " ", element("button", { type: "button", ariaLabel: `Delete ${d.text.slice(0, 40)}`, onclick: () => reportErrors(async () => { await requestJson(`/v1/pool/${encodeURIComponent(d.id)}`, { method: "DELETE" }); await showPool(); }) }, "Delete")),
  );
  more ? $("pool").append(...rows) : $("pool").replaceChildren(...rows);
  $("more-pool").hidden = $("pool").children.length >= response.total;
}

async function exportFile() {
  const documents = state.documents.map((d) => ({ id: d.id, text: d.text, mentions: d.mentions.map(({ start, end, label, score }) => ({ start, end, label, score })) }));
  const download = await reportErrors(() => requestFile(`/v1/export?format=${$("format").value}`, { documents }));
  if (!download) return;
  const link = element("a", { href: URL.createObjectURL(download.content), download: download.name });
  link.click();
  URL.revokeObjectURL(link.href);
}

// ---- files, keys, state

async function openFile(file) {
  const text = await file.text();
  state.pending = null;
  if (/\.jsonl?$/.test(file.name)) {
    try {
      const records = file.name.endsWith("l") ? text.split("\n").filter((l) => l.trim()).map((l) => JSON.parse(l)) : [JSON.parse(text)].flat();
      state.pending = records.map((r, i) => ({ id: String(r.id ?? i + 1), text: r.text }));
      if (!state.pending.every((d) => typeof d.text === "string")) throw new Error("a record has no `text`");
    } catch (error) {
      state.pending = null;
      return showMessage(`${file.name}: ${error.message}`);
    }
    $("text").value = state.pending.map((d) => d.text).join("\n\n");
    return showMessage(`${state.pending.length} documents from ${file.name}. If you edit the text, it becomes one document.`);
  }
  $("text").value = text;
  showMessage("");
}

async function askForKey() {
  $("ask-key").hidden = false;
  $("state").textContent = "needs a key";
  if (!$("key-dialog").open) $("key-dialog").showModal();
}

async function waitUntilReady() {
  const response = await fetch("/readyz").catch(() => null);
  const body = await response?.json().catch(() => null);
  $("state").textContent = response?.ok ? "ready" : (body?.error ?? "the server does not answer");
  if (!response?.ok) setTimeout(waitUntilReady, 2000);
}

async function start() {
  const response = await reportErrors(() => requestJson("/v1/labels"));
  const stored = JSON.parse(localStorage.getItem(LABELS_KEY) ?? "null");
  const first = [response?.labels, stored].find((l) => l && Object.keys(l).length) ?? DEFAULT_LABELS;
  $("labels").replaceChildren();
  for (const [name, definition] of Object.entries({ ...first, ...(stored ?? {}) })) addLabel(name, definition);
  showFilters();
  if (response) await showPool();
  waitUntilReady();
}

const KEYS = {
  ArrowRight: () => step(1),
  ArrowLeft: () => step(-1),
  Enter: () => $("detail").scrollIntoView({ block: "nearest" }),
  a: accept,
  x: reject,
  "[": () => moveEdge("start", -1),
  "]": () => moveEdge("start", 1),
  "{": () => moveEdge("end", -1),
  "}": () => moveEdge("end", 1),
  n: addNext,
  q: () => { const [next] = mentionsToReview(); if (next) select(next.doc, next.mention); },
  s: save,
};

$("result").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const label = Object.keys(labels())[Number(event.key) - 1];
  const action = KEYS[event.key] ?? (/^[1-9]$/.test(event.key) && label ? () => change({ label }) : null);
  if (!action) return;
  event.preventDefault();
  action();
});
$("result").addEventListener("mouseup", addSelection);
$("result").addEventListener("click", (event) => {
  const mark = event.target.closest("mark");
  const sentence = event.target.closest(".sentence");
  if (!mark || !sentence) return;
  const doc = state.documents[sentence.dataset.document];
  const mention = doc.mentions.find((m) => String(m.number) === mark.dataset.number);
  if (mention) select(doc, mention);
});
$("add-label").addEventListener("click", () => addLabel().querySelector("input").focus());
$("labels").addEventListener("change", storeLabels);
$("extract").addEventListener("click", extract);
$("cancel").addEventListener("click", () => state.controller?.abort());
$("save").addEventListener("click", save);
$("export").addEventListener("click", exportFile);
$("next-unsure").addEventListener("click", () => { KEYS.q(); $("result").focus(); });
$("more-pool").addEventListener("click", () => showPool(true));
$("min-score").addEventListener("input", () => {
  state.minScore = Number($("min-score").value);
  $("min-score-value").textContent = state.minScore.toFixed(2);
  cancelAnimationFrame(state.frame);
  state.frame = requestAnimationFrame(showResult);
});
$("text").addEventListener("input", () => { state.pending = null; });
$("file").addEventListener("change", (event) => event.target.files[0] && openFile(event.target.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  $("text").addEventListener(kind, (event) => {
    event.preventDefault();
    $("text").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) openFile(event.dataTransfer.files[0]);
    else if (kind === "drop") {
      state.pending = null;
      $("text").value = event.dataTransfer.getData("text");
    }
  });
}
$("ask-key").addEventListener("click", askForKey);
$("key-dialog").addEventListener("close", () => {
  if ($("key-dialog").returnValue !== "ok") return;
  setKey($("key").value);
  $("key").value = "";
  start();
});
window.addEventListener("beforeunload", (event) => { if (hasUnsaved()) event.preventDefault(); });

start();
