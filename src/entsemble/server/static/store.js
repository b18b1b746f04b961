// The session as the page knows it. Every edit is sent to the server, which answers with all that has changed since the
// version that the page has; the same answer comes, once a second, for the edits of other tabs and for extraction.

import { RequestError, requestJson } from "./api.js";
import { plural, showProblem, showStatus } from "./dom.js";

const POLL_MILLISECONDS = 1000;
const ACTIVE = new Set(["proposed", "accepted", "changed", "added"]);

export const state = {
  version: -1,
  documents: new Map(), // id -> summary, in the order in which they were added
  labels: [], // { name, definition }
  nested: false,
  undo: "",
  redo: "",
  pool: 0, // sentences in the pool
  learning: false, // whether the server learns from the pool
  learned: 0, // sentences of the pool that it has learned from
  work: null, // the document in progress
  // { id, name, text, points, sentences, spans, facts, known }. The facts of spans never change, and stay when an edit
  // removes a span, which another may bring back; known is the highest id of a span whose facts the page has.
  open: null,
  current: null, // id of a span of the open document
  sentence: 0, // number of the current sentence
};

const listeners = new Map();

// Events: documents(ids), settings, history, work, open, sentences(numbers), select(before), gone(isGone), key.
export function on(name, listener) {
  listeners.set(name, [...(listeners.get(name) ?? []), listener]);
}

export function emit(name, detail) {
  for (const listener of listeners.get(name) ?? []) listener(detail);
}

export const isMention = (span) => ACTIVE.has(span.status);
export const currentSpan = () => state.open?.spans.get(state.current) ?? null;
export const colour = (label) => {
  const index = state.labels.findIndex((one) => one.name === label);
  return index < 0 ? "colour-other" : `colour-${index % 12}`;
};

// Actions run one after the other, in the order of the keys, each with the state that the one before has left.
let queue = Promise.resolve();
let waiting = 0;

export function enqueue(action) {
  waiting++;
  const run = async () => {
    try {
      return await action();
    } catch (error) {
      report(error);
      return undefined;
    } finally {
      waiting--;
    }
  };
  queue = queue.then(run);
  return queue;
}

function report(error) {
  if (error instanceof RequestError) {
    if (error.status === 401) emit("key");
    showProblem(error.status === 401 ? "This server needs a key." : error.message);
  } else if (error instanceof TypeError && /fetch|network/i.test(error.message)) emit("gone", true);
  else throw error;
}

export async function edit(body) {
  showProblem("");
  const answer = await requestJson("/v1/review/edits", { method: "POST", body: { edit: body, after: state.version, open: state.open?.id ?? null, known: state.open?.known ?? -1 } });
  applyChanges(answer);
  showStatus(describe(answer, body));
  return answer;
}

function describe({ action, count, note }, { scope }) {
  const where = scope === "session" ? " everywhere" : scope === "document" ? " in this document" : "";
  const counted = scope || count > 1 ? `: ${count} changed${where}` : "";
  return `${action}${counted}${note ? `, ${note}` : ""}`;
}

export function applyChanges(view) {
  state.version = Math.max(state.version, view.version);
  if (view.settings) {
    state.labels = view.settings.labels;
    state.nested = view.settings.nested;
    emit("settings");
  }
  if (view.documents.length) {
    for (const summary of view.documents) {
      if (summary.deleted) state.documents.delete(summary.id);
      else state.documents.set(summary.id, summary);
    }
    emit("documents", view.documents.map((summary) => summary.id));
  }
  if (state.undo !== view.undo || state.redo !== view.redo) {
    [state.undo, state.redo] = [view.undo, view.redo];
    emit("history");
  }
  const { work, pool, learning, learned } = view;
  const hasWork = JSON.stringify([work, pool, view.problem, learning, learned]);
  if (hasWork !== state.lastWork) {
    if (state.learning && !learning && learned !== state.learned) showStatus(`Learned from ${plural(learned, "sentence")} of the pool. Texts that are extracted from now on use it.`);
    Object.assign(state, { work, pool, learning, learned, lastWork: hasWork });
    if (view.problem) showProblem(view.problem);
    emit("work");
  }
  if (state.open && view.sentences.length) replaceSentences(view.sentences);
  if (state.open && !state.documents.has(state.open.id)) closeDocument();
}

function replaceSentences(sentences) {
  const { open } = state;
  for (const sentence of sentences) {
    for (const span of open.sentences[sentence.number]?.spans ?? []) {
      if (span.sentence === sentence.number) open.spans.delete(span.id);
    }
  }
  for (const sentence of sentences) {
    open.sentences[sentence.number] = sentence;
    addSpans(sentence);
  }
  emit("sentences", sentences.map((sentence) => sentence.number));
}

function addSpans(sentence) {
  const { open } = state;
  for (const span of sentence.spans) {
    span.facts ??= open.facts.get(span.id);
    open.facts.set(span.id, span.facts);
    open.spans.set(span.id, Object.assign(span, { sentence: sentence.number }));
    open.known = Math.max(open.known, span.id);
  }
}

export async function openDocument(id, place = {}) {
  if (state.open?.id !== id) {
    const view = await requestJson(`/v1/review/documents/${id}`);
    const points = /[\ud800-\udbff]/.test(view.text) ? Array.from(view.text) : null;
    state.open = { ...view, points, spans: new Map(), facts: new Map(), known: -1 };
    view.sentences.forEach(addSpans);
    Object.assign(state, { current: null, sentence: 0 });
    emit("open");
  }
  if (place.span && state.open.spans.has(place.span)) select(place.span);
  else if (place.sentence !== undefined && place.sentence !== null) selectSentence(place.sentence);
}

export function closeDocument() {
  Object.assign(state, { open: null, current: null });
  emit("open");
}

export function select(id) {
  const before = { span: state.current, sentence: state.sentence };
  state.current = id;
  const span = currentSpan();
  if (span) state.sentence = span.sentence;
  emit("select", before);
}

export function selectSentence(number) {
  const before = { span: state.current, sentence: state.sentence };
  Object.assign(state, { current: null, sentence: number });
  emit("select", before);
}

// Characters of the open document; offsets are in code points, as on the server.
export function textBetween(start, end) {
  const { points, text } = state.open;
  return points ? points.slice(start, end).join("") : text.slice(start, end);
}

export async function refresh() {
  const open = state.open ? `&open=${state.open.id}&known=${state.open.known}` : "";
  applyChanges(await requestJson(`/v1/review/changes?after=${state.version}${open}`));
  emit("gone", false);
}

export function startPolling() {
  setInterval(() => {
    if (!waiting && !document.hidden) enqueue(refresh);
  }, POLL_MILLISECONDS);
}
