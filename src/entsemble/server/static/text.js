// The text of the open document: sentences with their mentions as marks, of which only those that change are drawn again.

import { $, chunkedDrawing, element } from "./dom.js";
import { colour, currentSpan, isMention, on, selectSentence, state, textBetween } from "./store.js";

const CHUNK = 60; // sentences that are drawn at once; the rest follows while the page answers already
const REDRAWN = 30; // the same for sentences that have changed
const UNSURE_BELOW = 0.6;

export const filters = { hidden: new Set(), minScore: 0, candidateScore: 1.01 };

let elements = []; // of the sentences
let drawing = 0;
let paragraph = null; // the last one; each is laid out by itself, so that a key in a long text costs no more than in a short one

export function isVisible(span) {
  const score = span.score ?? 1;
  if (filters.hidden.has(span.label)) return false;
  if (isMention(span)) return score >= filters.minScore;
  return (span.score ?? 0) >= filters.candidateScore && !isCovered(span);
}

// A candidate at the very place of a mention would only be a second mark of the same words.
function isCovered(span) {
  return state.open.sentences[span.sentence].spans.some((other) => isMention(other) && other.start === span.start && other.end === span.end);
}

// The spans that are shown, in text order.
export function visibleSpans() {
  return state.open ? state.open.sentences.flatMap((sentence) => sentence.spans.filter(isVisible)) : [];
}

function drawDocument() {
  drawing++;
  elements = [];
  paragraph = element("div", { className: "paragraph" });
  const pane = $("text");
  pane.replaceChildren(paragraph);
  $("text-pane").removeAttribute("aria-activedescendant");
  if (!state.open) return;
  pane.dir = "auto";
  drawFrom(0, drawing);
}

function drawFrom(first, ticket) {
  if (ticket !== drawing || !state.open) return;
  const { sentences } = state.open;
  const last = Math.min(first + CHUNK, sentences.length);
  for (let number = first; number < last; number++) {
    const { start } = sentences[number];
    const before = number ? sentences[number - 1].end : 0;
    appendGap(before, start);
    const node = element("span", { className: "sentence", dataset: { number } });
    elements[number] = node;
    drawSentence(number);
    paragraph.append(node);
  }
  if (last === sentences.length) appendGap(sentences.at(-1)?.end ?? 0, Infinity);
  if (last < sentences.length) requestAnimationFrame(() => drawFrom(last, ticket));
}

// The white space between two sentences. Its first line end becomes the end of the paragraph, and others blank lines.
function appendGap(from, to) {
  const text = textBetween(from, to);
  const at = from ? text.indexOf("\n") : -1;
  const append = (part, start) => part && paragraph.append(element("span", { className: "gap", dataset: { start } }, part));
  if (at < 0) return append(text, from);
  append(text.slice(0, at), from);
  paragraph = element("div", { className: "paragraph" });
  $("text").append(paragraph);
  append(text.slice(at + 1), from + at + 1);
}

// Draws the sentences up to one that is about to be shown.
function ensureDrawn(number) {
  while (!elements[number] && elements.length < state.open.sentences.length) {
    drawing++;
    drawFrom(elements.length, drawing);
  }
}

function drawSentence(number) {
  const node = elements[number];
  if (!node) return;
  const sentence = state.open.sentences[number];
  node.classList.toggle("signed", sentence.signed);
  node.classList.toggle("pending", !sentence.extracted);
  node.classList.toggle("here", number === state.sentence);
  node.replaceChildren(renderRange(sentence.start, sentence.end, spansOver(sentence)));
}

// The visible spans of a sentence, and those that begin before it and reach into it.
function spansOver(sentence) {
  const over = sentence.spans.filter(isVisible);
  for (let number = sentence.number - 1; number >= 0 && number > sentence.number - 4; number--) {
    over.unshift(...state.open.sentences[number].spans.filter((span) => span.end > sentence.start && isVisible(span)));
  }
  return over;
}

// A text as DOM nodes. Nested spans become nested marks. One that crosses another one is split into several marks, the
// last of which carries the label.
function renderRange(from, to, spans) {
  const edges = spans.flatMap((span) => [Math.max(from, span.start), Math.min(to, span.end)]);
  const cuts = [...new Set([from, to, ...edges])].sort((a, b) => a - b);
  const ordered = [...spans].sort((a, b) => a.start - b.start || b.end - a.end || a.id - b.id);
  const root = document.createDocumentFragment();
  const open = [];
  for (let i = 0; i + 1 < cuts.length; i++) {
    const covering = ordered.filter((span) => span.start <= cuts[i] && cuts[i + 1] <= span.end);
    let shared = 0;
    while (shared < open.length && open[shared].span === covering[shared]) shared++;
    open.length = shared;
    for (const span of covering.slice(shared)) {
      const mark = renderMark(span);
      (open.at(-1)?.mark ?? root).append(mark);
      open.push({ span, mark });
    }
    for (const { span, mark } of open) mark.classList.toggle("last", span.end === cuts[i + 1]);
    (open.at(-1)?.mark ?? root).append(textBetween(cuts[i], cuts[i + 1]));
  }
  return root;
}

function renderMark(span) {
  const mark = element("mark", { className: colour(span.label), dataset: { span: span.id, label: span.label || "?" } });
  mark.classList.toggle("unsure", span.status === "proposed" && (span.score ?? 1) < UNSURE_BELOW);
  mark.classList.toggle("decided", isMention(span) && span.status !== "proposed");
  mark.classList.toggle("faint", !isMention(span));
  if (!isMention(span)) mark.title = "rejected; a click adds it";
  if (span.id === state.current) {
    mark.classList.add("current");
    mark.id = "current-mention";
  }
  return mark;
}

export function redrawAll() {
  const span = currentSpan();
  if (span && !isVisible(span)) selectSentence(span.sentence); // no key changes what is not shown
  for (const number of elements.keys()) drawSentence(number);
  markActive();
}

// For screen readers: which mention the keys are for.
function markActive() {
  if ($("current-mention")) $("text-pane").setAttribute("aria-activedescendant", "current-mention");
  else $("text-pane").removeAttribute("aria-activedescendant");
}

function showSelection(before) {
  if (!state.open) return;
  ensureDrawn(state.sentence);
  for (const number of new Set([before.sentence, state.sentence])) drawSentence(number);
  markActive();
  ($("current-mention") ?? elements[state.sentence])?.scrollIntoView({ block: "nearest" });
}

// The code-point range of the selected text, or `null` if it is not in the text.
export function selectedRange() {
  const selection = window.getSelection();
  if (!state.open || !selection || selection.isCollapsed || !selection.rangeCount) return null;
  const range = selection.getRangeAt(0);
  if (!$("text").contains(range.startContainer) || !$("text").contains(range.endContainer)) return null;
  const [start, end] = [offsetOf(range.startContainer, range.startOffset), offsetOf(range.endContainer, range.endOffset)];
  return start < end ? { start, end, rectangle: range.getBoundingClientRect() } : null;
}

function offsetOf(node, offset) {
  const part = (node.nodeType === Node.TEXT_NODE ? node.parentElement : node).closest(".sentence, .gap");
  if (!part) return offsetBetween(node, offset);
  const range = document.createRange();
  range.setStart(part, 0);
  range.setEnd(node, offset);
  const length = state.open.points ? Array.from(range.toString()).length : range.toString().length;
  return length + startOf(part);
}

const startOf = (part) => Number(part.dataset.start ?? state.open.sentences[part.dataset.number].start);

// Of a place that is in no sentence: the start of what follows it, or else the end of the text.
function offsetBetween(node, offset) {
  const range = document.createRange();
  range.setStart(node, offset);
  const following = [...$("text").querySelectorAll(".sentence, .gap")].find((part) => range.comparePoint(part, 0) >= 0);
  return following ? startOf(following) : (state.open.points ?? state.open.text).length;
}

on("open", drawDocument);
const drawChanged = chunkedDrawing(REDRAWN, (number) => state.open?.sentences[number] && drawSentence(number), (number) => Math.abs(number - state.sentence));

on("sentences", (numbers) => {
  drawChanged(numbers.flatMap((number) => [number, number + 1]));
  markActive();
});
on("settings", redrawAll);
on("select", showSelection);
