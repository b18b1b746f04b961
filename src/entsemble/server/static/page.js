// The page: what is shown, what the mouse and the keys do, and what becomes of corrections.

import { Refused, events, file, json, useKey } from "./api.js";
import { drawn, inOrder, numbered, opened, pointsBefore, sentenceOf, surface, words } from "./text.js";

const $ = (id) => document.getElementById(id);
const LABELS = "entsemble-labels";
const USUAL = { person: "", organisation: "", location: "" };
const UNSURE = 0.6;
const QUEUE = 20;
const POOL_PAGE = 50;

const state = {
  documents: [],
  pending: null, // documents of a file with several
  current: null, // { document, mention }
  hidden: new Set(), // labels that are not shown
  least: 0,
  working: null, // AbortController
  pooled: new Map(), // id -> text, of demonstrations
};

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function say(text) {
  $("message").textContent = text;
}

async function trying(work) {
  try {
    say("");
    return await work();
  } catch (error) {
    if (error.name === "AbortError") return say("Cancelled.");
    if (error instanceof Refused && error.status === 401) return askKey();
    say(error instanceof Refused ? error.message : `The server did not answer (${error.message}).`);
  }
}

// ---- labels

function labels() {
  const found = {};
  for (const row of $("labels").children) {
    const [name, definition] = row.querySelectorAll("input");
    if (name.value.trim()) found[name.value.trim()] = definition.value.trim();
  }
  return found;
}

function addLabel(name = "", definition = "") {
  const number = $("labels").children.length + 1;
  const row = element(
    "li",
    {},
    element("input", { type: "text", value: name, ariaLabel: `Label ${number}`, placeholder: "label" }),
    element("input", { type: "text", value: definition, ariaLabel: `Definition of label ${number}`, placeholder: "what counts (may be empty)", className: "definition" }),
    element("button", { type: "button", ariaLabel: `Remove label ${number}`, onclick: () => { row.remove(); keepLabels(); } }, "Remove"),
  );
  $("labels").append(row);
  return row;
}

function keepLabels() {
  localStorage.setItem(LABELS, JSON.stringify(labels()));
  showFilters();
}

function hue(label) {
  let sum = 0;
  for (const point of Array.from(label)) sum = (sum * 31 + point.codePointAt(0)) % 360;
  return String((sum * 137) % 360);
}

// ---- extraction

const unsaved = () => state.documents.some((doc) => doc.touched.size > 0);

async function extract() {
  const documents = state.pending ?? [{ text: $("text").value }];
  if (!documents.some((d) => d.text.trim())) return say("There is no text to extract from.");
  const asked = labels();
  if (!Object.keys(asked).length) return say("Name at least one label.");
  if (unsaved() && !window.confirm("Corrections are not saved in the pool. Go on without them?")) return;
  keepLabels();
  state.working = new AbortController();
  state.documents = [];
  choose(null);
  show();
  $("extract").disabled = true;
  $("cancel").hidden = $("progress").hidden = false;
  $("progress").removeAttribute("value");
  let failed = "";
  await trying(() =>
    events("/v1/extract", { documents, labels: asked, nested: $("nested").checked || null }, state.working.signal, (event, data) => {
      if (event === "progress") {
        $("progress").max = data.sentences;
        $("progress").value = data.done;
      } else if (event === "document") {
        state.documents.push(opened(data));
        show();
      } else if (event === "failed") failed = `${data.id}: ${data.error}`;
      else if (event === "error") failed = data.error;
    }),
  );
  if (failed) say(failed);
  state.working = null;
  $("extract").disabled = false;
  $("cancel").hidden = $("progress").hidden = true;
  show();
}

// ---- the result

const shown = (mention) => !state.hidden.has(mention.label) && (mention.score ?? 1) >= state.least;

function decorate(mark, mention) {
  mark.style.setProperty("--hue", hue(mention.label));
  mark.dataset.label = mention.label;
  mark.classList.toggle("unsure", mention.state === "" && (mention.score ?? 1) < UNSURE);
  mark.classList.toggle("accepted", mention.state !== "");
  if (state.current?.mention === mention) {
    mark.classList.add("current");
    mark.id = "current-mention";
  }
}

function drawSentence(doc, i) {
  const [from, to] = doc.sentences[i];
  const within = doc.mentions.filter((m) => from <= m.start && m.end <= to && shown(m));
  doc.elements[i].replaceChildren(drawn(doc, i, within, decorate));
}

function show() {
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
  for (const doc of state.documents) doc.sentences.forEach((_, i) => drawSentence(doc, i));
  refresh();
}

function refresh() {
  showFilters();
  const all = everything();
  const sentences = state.documents.reduce((n, d) => n + d.touched.size, 0);
  const some = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
  $("summary").textContent = state.documents.length
    ? `${some(all.length, "mention")} in ${some(state.documents.length, "document")}${sentences ? `; ${some(sentences, "sentence")} to save, with all mentions that stand in them` : ""}`
    : "";
  $("save").disabled = !sentences;
  $("export").disabled = !state.documents.length;
  showQueue(all);
  showRejected();
  if (state.current) $("result").setAttribute("aria-activedescendant", "current-mention");
  else $("result").removeAttribute("aria-activedescendant");
}

const everything = () => state.documents.flatMap((doc) => inOrder(doc.mentions).map((mention) => ({ doc, mention })));

function showFilters() {
  const counts = new Map(Object.keys(labels()).map((label) => [label, 0]));
  for (const { mention } of everything()) counts.set(mention.label, (counts.get(mention.label) ?? 0) + 1);
  $("filters").replaceChildren(
    ...[...counts].map(([label, count]) => {
      const chip = element("button", { type: "button", className: "chip", ariaPressed: String(!state.hidden.has(label)) }, `${label} ${count}`);
      chip.style.setProperty("--hue", hue(label));
      chip.addEventListener("click", () => {
        state.hidden.has(label) ? state.hidden.delete(label) : state.hidden.add(label);
        show();
        [...$("filters").children].find((c) => c.textContent.startsWith(label))?.focus();
      });
      return chip;
    }),
  );
}

function unsure(all = everything()) {
  return all.filter(({ mention }) => mention.state === "" && shown(mention)).sort((a, b) => (a.mention.score ?? 1) - (b.mention.score ?? 1));
}

function showQueue(all) {
  const waiting = unsure(all);
  $("queue-none").hidden = waiting.length > 0;
  $("queue").replaceChildren(
    ...waiting.slice(0, QUEUE).map(({ doc, mention }) =>
      element("li", {}, element("button", { type: "button", onclick: () => { choose(doc, mention); $("result").focus(); } }, `${mention.text} · ${mention.label} · ${(mention.score ?? 1).toFixed(2)}`)),
    ),
  );
}

function showRejected() {
  const lost = state.documents.flatMap((doc) => doc.ledger.filter((e) => e.fate !== "kept"));
  $("rejected-count").textContent = lost.length ? `(${lost.length})` : "";
  $("rejected").replaceChildren(
    ...lost.slice(0, 500).map((e) => element("li", {}, `${e.text}: `, element("span", { className: "quiet" }, `${e.fate}${e.label ? `, ${e.label}` : ""}${e.detail ? `, ${e.detail}` : ""}; proposed by ${e.members.join(", ")}`))),
  );
}

// ---- one mention

function choose(doc, mention) {
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
  const i = sentenceOf(doc, mention.start, mention.end);
  if (i >= 0 && doc.elements) drawSentence(doc, i);
}

function step(by) {
  const all = everything().filter(({ mention }) => shown(mention));
  if (!all.length) return;
  const at = all.findIndex(({ mention }) => mention === state.current?.mention);
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : (at + by + all.length) % all.length];
  choose(next.doc, next.mention);
}

function detail() {
  if (!state.current) return $("detail").replaceChildren(element("p", {}, "Choose a mention to see who proposed it and how the models voted."));
  const { doc, mention } = state.current;
  const kept = doc.ledger.find((e) => e.start === mention.start && e.end === mention.end && e.fate === "kept");
  const verified = doc.verified.find(([start, end]) => start === mention.start && end === mention.end);
  const rows = [
    ["text", mention.text],
    ["label", mention.label],
    ["score", mention.score == null ? "yours" : mention.score.toFixed(2)],
    ["place", `${mention.start} to ${mention.end}`],
    ["proposed by", kept ? kept.members.join(", ") : "you"],
    ...Object.entries(mention.votes).map(([member, label]) => [`vote of ${member}`, label]),
    ...(verified ? [["verifier", verified[2] ? "yes" : "no"]] : []),
    ...(mention.state ? [["you", mention.state]] : []),
  ];
  const list = element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  const relabel = element("select", { ariaLabel: "Label", onchange: (e) => change({ label: e.target.value }) }, ...[...new Set([...Object.keys(labels()), mention.label])].map((label) => element("option", { selected: label === mention.label }, label)));
  const button = (text, work) => element("button", { type: "button", onclick: work }, text);
  const shownTo = element("ul", {});
  const sentence = doc.sentences.findIndex(([from, to]) => from <= mention.start && mention.end <= to);
  $("detail").replaceChildren(
    list,
    element("div", { className: "row" }, button("Accept", accept), button("Reject", reject), relabel),
    element("div", { className: "row" }, "Beginning", button("◀ word", () => edge("start", -1)), button("word ▶", () => edge("start", 1))),
    element("div", { className: "row" }, "End", button("◀ word", () => edge("end", -1)), button("word ▶", () => edge("end", 1))),
    element("details", {}, element("summary", {}, `Demonstrations (${(doc.demonstrations[sentence] ?? []).length})`), shownTo),
  );
  demonstrations(doc.demonstrations[sentence] ?? [], shownTo);
}

async function demonstrations(ids, list) {
  for (const id of ids) {
    const of = id.replace(/#\d+$/, "");
    if (!state.pooled.has(of)) {
      try {
        state.pooled.set(of, (await json(`/v1/pool/${encodeURIComponent(of)}`)).text);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        state.pooled.set(of, "(no longer in the pool)");
      }
    }
    list.append(element("li", {}, state.pooled.get(of)));
  }
}

// ---- corrections

function touch(doc, ...mentions) {
  for (const m of mentions) {
    const i = sentenceOf(doc, m.start, m.end);
    if (i >= 0) doc.touched.add(i);
  }
}

function accept() {
  const { doc, mention } = state.current ?? {};
  if (!mention) return;
  mention.state = mention.state || "accepted";
  touch(doc, mention);
  choose(doc, mention);
}

function reject() {
  const { doc, mention } = state.current ?? {};
  if (!mention) return;
  const all = everything().filter((one) => shown(one.mention));
  const at = all.findIndex((one) => one.mention === mention);
  doc.mentions = doc.mentions.filter((m) => m !== mention);
  doc.ledger = doc.ledger.map((e) => (e.fate === "kept" && e.start === mention.start && e.end === mention.end ? { ...e, fate: "rejected by you" } : e));
  touch(doc, mention);
  redraw(doc, mention);
  const next = all[at + 1] ?? all[at - 1];
  choose(next?.doc ?? null, next?.mention ?? null);
}

function change(with_) {
  const { doc, mention } = state.current ?? {};
  if (!mention) return;
  const made = { ...mention, ...with_ };
  if (doc.mentions.some((m) => m !== mention && m.start === made.start && m.end === made.end && m.label === made.label)) return say("There is such a mention already.");
  touch(doc, mention);
  redraw(doc, mention);
  Object.assign(mention, with_, { state: "changed", text: surface(doc, made.start, made.end) });
  touch(doc, mention);
  choose(doc, mention);
}

function edge(side, by) {
  const { doc, mention } = state.current ?? {};
  if (!mention) return;
  const sentence = sentenceOf(doc, mention.start, mention.end);
  const places = words(doc, sentence).map((w) => w[side === "start" ? 0 : 1]);
  const there = mention[side];
  const next = by > 0 ? places.find((p) => p > there) : places.filter((p) => p < there).at(-1);
  const made = { start: mention.start, end: mention.end, [side]: next };
  if (next === undefined || made.start >= made.end) return;
  change({ [side]: next });
}

function add(doc, start, end) {
  while (start < end && !doc.points[start].trim()) start++;
  while (start < end && !doc.points[end - 1].trim()) end--;
  if (start >= end) return;
  if (sentenceOf(doc, start, end) < 0) return say("A mention lies within one sentence.");
  const there = doc.mentions.find((m) => m.start === start && m.end === end);
  if (there) return choose(doc, there);
  const label = Object.keys(labels())[0];
  if (!label) return say("Name at least one label.");
  const made = numbered({ start, end, label, text: surface(doc, start, end), score: null, votes: {}, state: "added" });
  doc.mentions.push(made);
  touch(doc, made);
  choose(doc, made);
}

// From the keyboard: the word after the current mention, or the first; its edges move like any other's.
function addNext() {
  const doc = state.current?.doc ?? state.documents[0];
  if (!doc) return;
  const after = state.current?.mention.end ?? 0;
  const next = doc.sentences.flatMap((_, i) => words(doc, i)).find(([start, end]) => start >= after && !doc.mentions.some((m) => m.start < end && start < m.end));
  if (next) add(doc, ...next);
}

function selected() {
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
  const sent = state.documents.map((doc) => ({ doc, touched: doc.touched }));
  const documents = sent.flatMap(({ doc, touched }) =>
    [...touched].map((i) => {
      const [from, to] = doc.sentences[i];
      const within = doc.mentions.filter((m) => from <= m.start && m.end <= to);
      return { text: surface(doc, from, to), mentions: within.map((m) => ({ start: m.start - from, end: m.end - from, label: m.label })) };
    }),
  );
  if (!documents.length) return;
  for (const { doc } of sent) doc.touched = new Set(); // what is corrected meanwhile is saved the next time
  const kept = await trying(() => json("/v1/pool", { method: "POST", body: { documents } }));
  for (const { doc, touched } of sent) {
    if (!kept) for (const i of touched) doc.touched.add(i);
    else for (const mention of doc.mentions) if (touched.has(sentenceOf(doc, mention.start, mention.end))) mention.state ||= "accepted";
  }
  if (!kept) return refresh();
  show();
  $("summary").textContent = `${documents.length} sentence${documents.length === 1 ? "" : "s"} saved. The next extraction is shown the pool.`;
  await showPool();
}

async function showPool(more = false) {
  const offset = more ? $("pool").children.length : 0;
  const told = await trying(() => json(`/v1/pool?offset=${offset}&limit=${POOL_PAGE}`));
  if (!told) return;
  $("pool-count").textContent = `(${told.total})`;
  const rows = told.documents.map((d) =>
    element("li", {}, d.text, " ", element("span", { className: "quiet" }, d.mentions.map((m) => `${m.text}: ${m.label}`).join("; ") || "no mention"), " ", element("button", { type: "button", ariaLabel: `Delete ${d.text.slice(0, 40)}`, onclick: () => trying(async () => { await json(`/v1/pool/${encodeURIComponent(d.id)}`, { method: "DELETE" }); await showPool(); }) }, "Delete")),
  );
  more ? $("pool").append(...rows) : $("pool").replaceChildren(...rows);
  $("more-pool").hidden = $("pool").children.length >= told.total;
}

async function exported() {
  const documents = state.documents.map((d) => ({ id: d.id, text: d.text, mentions: d.mentions.map(({ start, end, label, score }) => ({ start, end, label, score })) }));
  const told = await trying(() => file(`/v1/export?format=${$("format").value}`, { documents }));
  if (!told) return;
  const link = element("a", { href: URL.createObjectURL(told.content), download: told.name });
  link.click();
  URL.revokeObjectURL(link.href);
}

// ---- files, keys, state

async function take(chosen) {
  const text = await chosen.text();
  state.pending = null;
  if (/\.jsonl?$/.test(chosen.name)) {
    try {
      const records = chosen.name.endsWith("l") ? text.split("\n").filter((l) => l.trim()).map((l) => JSON.parse(l)) : [JSON.parse(text)].flat();
      state.pending = records.map((r, i) => ({ id: String(r.id ?? i + 1), text: r.text }));
      if (!state.pending.every((d) => typeof d.text === "string")) throw new Error("a record has no `text`");
    } catch (error) {
      state.pending = null;
      return say(`${chosen.name}: ${error.message}`);
    }
    $("text").value = state.pending.map((d) => d.text).join("\n\n");
    return say(`${state.pending.length} documents of ${chosen.name}; change the text to make it one.`);
  }
  $("text").value = text;
  say("");
}

async function askKey() {
  $("ask-key").hidden = false;
  $("state").textContent = "needs a key";
  if (!$("key-dialog").open) $("key-dialog").showModal();
}

async function ready() {
  const told = await fetch("/readyz").catch(() => null);
  const body = await told?.json().catch(() => null);
  $("state").textContent = told?.ok ? "ready" : (body?.error ?? "the server does not answer");
  if (!told?.ok) setTimeout(ready, 2000);
}

async function begin() {
  const told = await trying(() => json("/v1/labels"));
  const kept = JSON.parse(localStorage.getItem(LABELS) ?? "null");
  const first = [told?.labels, kept].find((l) => l && Object.keys(l).length) ?? USUAL;
  $("labels").replaceChildren();
  for (const [name, definition] of Object.entries({ ...first, ...(kept ?? {}) })) addLabel(name, definition);
  showFilters();
  if (told) await showPool();
  ready();
}

const KEYS = {
  ArrowRight: () => step(1),
  ArrowLeft: () => step(-1),
  Enter: () => $("detail").scrollIntoView({ block: "nearest" }),
  a: accept,
  x: reject,
  "[": () => edge("start", -1),
  "]": () => edge("start", 1),
  "{": () => edge("end", -1),
  "}": () => edge("end", 1),
  n: addNext,
  q: () => { const [next] = unsure(); if (next) choose(next.doc, next.mention); },
  s: save,
};

$("result").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const label = Object.keys(labels())[Number(event.key) - 1];
  const work = KEYS[event.key] ?? (/^[1-9]$/.test(event.key) && label ? () => change({ label }) : null);
  if (!work) return;
  event.preventDefault();
  work();
});
$("result").addEventListener("mouseup", selected);
$("result").addEventListener("click", (event) => {
  const mark = event.target.closest("mark");
  const sentence = event.target.closest(".sentence");
  if (!mark || !sentence) return;
  const doc = state.documents[sentence.dataset.document];
  const mention = doc.mentions.find((m) => String(m.number) === mark.dataset.number);
  if (mention) choose(doc, mention);
});
$("add-label").addEventListener("click", () => addLabel().querySelector("input").focus());
$("labels").addEventListener("change", keepLabels);
$("extract").addEventListener("click", extract);
$("cancel").addEventListener("click", () => state.working?.abort());
$("save").addEventListener("click", save);
$("export").addEventListener("click", exported);
$("next-unsure").addEventListener("click", () => { KEYS.q(); $("result").focus(); });
$("more-pool").addEventListener("click", () => showPool(true));
$("least").addEventListener("input", () => {
  state.least = Number($("least").value);
  $("least-value").textContent = state.least.toFixed(2);
  cancelAnimationFrame(state.frame);
  state.frame = requestAnimationFrame(show);
});
$("text").addEventListener("input", () => { state.pending = null; });
$("file").addEventListener("change", (event) => event.target.files[0] && take(event.target.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  $("text").addEventListener(kind, (event) => {
    event.preventDefault();
    $("text").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
    else if (kind === "drop") {
      state.pending = null;
      $("text").value = event.dataTransfer.getData("text");
    }
  });
}
$("ask-key").addEventListener("click", askKey);
$("key-dialog").addEventListener("close", () => {
  if ($("key-dialog").returnValue !== "ok") return;
  useKey($("key").value);
  $("key").value = "";
  begin();
});
window.addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });

begin();
