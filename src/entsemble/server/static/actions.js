// What a reviewer does, by key or by mouse: edits, and where the page goes afterwards.

import { requestJson } from "./api.js";
import { focusText, plural, showProblem, showStatus } from "./dom.js";
import { closeDocument, currentSpan, edit, emit, isMention, openDocument, select, selectSentence, state } from "./store.js";
import { isVisible, visibleSpans } from "./text.js";
import { movedEdge, wordOffsets } from "./words.js";

export const order = { leastCertainFirst: false };

const isUndecided = (span) => span.status === "proposed";
const score = (span) => span.score ?? 1;

// ---- mentions

function nextSpan(after) {
  const spans = visibleSpans().filter((span) => span.id !== after?.id && isMention(span));
  if (order.leastCertainFirst) {
    return spans.filter(isUndecided).sort((a, b) => score(a) - score(b))[0] ?? null;
  }
  const later = spans.filter((span) => !after || span.start > after.start || (span.start === after.start && span.end < after.end));
  return later.find(isUndecided) ?? later[0] ?? null;
}

async function goOn(from) {
  const next = nextSpan(from);
  if (next) return select(next.id);
  if (order.leastCertainFirst) return leastCertain();
  const here = state.open.spans.get(from.id);
  if (here && isVisible(here)) select(here.id);
  else selectSentence(from.sentence);
  showStatus("The last mention of this document. d: done");
}

export async function accept() {
  const span = currentSpan();
  if (!span) return;
  await edit({ action: "accept", span: span.id });
  await goOn(span);
}

// By mouse: one click, after which the page stays there, so that the label can be seen and changed.
export async function addCandidate(id) {
  await edit({ action: "accept", span: id });
  select(id);
}

export async function reject() {
  const span = currentSpan();
  if (!span || !isMention(span)) return;
  await edit({ action: "reject", span: span.id });
  await goOn(span);
}

export async function relabel(label) {
  const span = currentSpan();
  if (!span) return;
  await edit({ action: "relabel", span: span.id, label });
  await goOn(span);
}

export async function moveEdge(side, by) {
  const span = currentSpan();
  const moved = span && movedEdge(span, side, by);
  if (!moved) return;
  await edit({ action: "move", span: span.id, ...moved });
  select(span.id);
}

export async function addMention(start, end, label) {
  const answer = await edit({ action: "add", document: state.open.id, start, end, label });
  window.getSelection()?.removeAllRanges();
  select(answer.place.span);
  focusText();
}

// For the keyboard: adds the first word after the current mention that is in none; the same key again moves it on by a
// word, until something else is done with it. Its edges can be moved, too.
let offered = null;
const place = (span) => `${span?.id} ${span?.start} ${span?.end}`;

export async function addNextWord() {
  if (!state.open) return;
  const current = currentSpan();
  const label = current?.label || state.labels[0]?.name;
  if (!label) return showProblem("Name at least one label.");
  const word = nextFreeWord(current);
  if (!word) return showStatus("There is no further word.");
  const [start, end] = word;
  if (current && place(current) === offered) {
    await edit({ action: "move", span: current.id, start, end });
    select(current.id);
  } else await addMention(start, end, label);
  offered = place(currentSpan());
}

function nextFreeWord(current) {
  const after = current?.end ?? state.open.sentences[state.sentence]?.start ?? 0;
  const mentions = [...state.open.spans.values()].filter(isMention);
  for (let number = state.sentence; number < state.open.sentences.length; number++) {
    const word = wordOffsets(number).find(([start, end]) => start >= after && !mentions.some((span) => span.start < end && start < span.end));
    if (word) return word;
  }
  return null;
}

export async function allOfName(action, scope) {
  const span = currentSpan();
  if (!span) return;
  await edit({ action, span: span.id, scope });
  if (action === "reject-name") return goOn(span);
  select(span.id);
}

export function step(by) {
  const spans = visibleSpans();
  if (!spans.length) return;
  const at = spans.findIndex((span) => span.id === state.current);
  if (at >= 0) return select(spans[(at + by + spans.length) % spans.length].id);
  const here = spans.findIndex((span) => span.sentence >= state.sentence);
  select(spans[by > 0 ? Math.max(0, here) : here > 0 ? here - 1 : spans.length - 1].id);
}

export function stepCandidate(by) {
  const candidates = visibleSpans().filter((span) => !isMention(span));
  if (!candidates.length) return showStatus("No rejected candidates are shown: move the slider to see some.");
  const at = candidates.findIndex((span) => span.id === state.current);
  select(candidates[(at + by + candidates.length) % candidates.length].id);
}

// ---- sentences

export function stepSentence(by) {
  const count = state.open?.sentences.length ?? 0;
  if (count) selectSentence(Math.min(count - 1, Math.max(0, state.sentence + by)));
}

async function editSentence(action) {
  if (!state.open?.sentences.length) return;
  const number = state.sentence;
  await edit({ action, document: state.open.id, sentence: number });
  if (order.leastCertainFirst) return leastCertain();
  const later = state.open.sentences.slice(number + 1).find((sentence) => !sentence.signed);
  const next = later ?? state.open.sentences.find((sentence) => !sentence.signed);
  if (next) selectSentence(next.number);
  else showStatus("Every sentence is signed off. d: done");
}

export const signSentence = () => editSentence(state.open?.sentences[state.sentence]?.signed ? "unsign" : "sign");
export const emptySentence = () => editSentence("empty");

export async function leastCertain() {
  const { sentences } = await requestJson("/v1/review/queue");
  if (!sentences.length) return showStatus("No undecided mention is left.");
  const [first] = sentences;
  await openDocument(first.document, { sentence: first.sentence });
  const spans = visibleSpans().filter((span) => span.sentence === first.sentence && isUndecided(span) && isMention(span));
  const least = spans.sort((a, b) => score(a) - score(b))[0];
  if (least) select(least.id);
  showStatus("The least certain mention that is not decided.");
}

// ---- documents

export const shown = { ids: () => [...state.documents.keys()] }; // the list replaces this by those that it shows

export async function stepDocument(by) {
  const ids = shown.ids();
  if (!ids.length) return;
  const at = ids.indexOf(state.open?.id);
  await openDocument(ids[at < 0 ? 0 : Math.min(ids.length - 1, Math.max(0, at + by))]);
  focusText();
}

export async function finish() {
  if (!state.open) return;
  const { id } = state.open;
  const ids = shown.ids();
  if (state.documents.get(id).state === "done") return edit({ action: "reopen", documents: [id] });
  const at = ids.indexOf(id);
  const isOpen = (other) => other !== id && state.documents.get(other)?.state !== "done";
  const next = ids.slice(at + 1).find(isOpen) ?? ids.find(isOpen);
  closeDocument(); // so that its sentences, which all change, are not sent and drawn before the next one is opened
  await edit({ action: "finish", documents: [id] });
  await openDocument(next ?? id);
  if (next === undefined) {
    const left = [...state.documents.values()].filter((summary) => summary.state !== "done").length;
    showStatus(left ? `All that the list shows are done; it does not show ${plural(left, "other")}.` : "All documents are done.");
  }
  focusText();
}

export async function remove() {
  if (!state.open) return;
  const { id } = state.open;
  const ids = shown.ids();
  const at = ids.indexOf(id);
  await edit({ action: "delete", documents: [id] });
  const next = ids[at + 1] ?? ids[at - 1];
  if (next !== undefined) await openDocument(next);
  focusText();
}

export async function changeHistory(action) {
  const { place } = await edit({ action });
  if (place.document !== null && state.documents.has(place.document)) await openDocument(place.document, place);
  emit("history");
}
