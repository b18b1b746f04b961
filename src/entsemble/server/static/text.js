// Texts with mentions: what is where, in code points as the server counts them, and how it is shown.

let lastNumber = 0;

export function numbered(mention) {
  return { ...mention, number: ++lastNumber };
}

// A document as the page keeps it. `points` are its code points; offsets index them.
export function opened(told) {
  const points = Array.from(told.text);
  const sentences = told.sentences.length ? told.sentences : points.length ? [[0, points.length]] : [];
  return {
    ...told,
    points,
    sentences,
    mentions: told.mentions.map((m) => numbered({ ...m, state: "" })),
    touched: new Set(),
  };
}

export function surface(document, start, end) {
  return document.points.slice(start, end).join("");
}

export function sentenceOf(document, start, end) {
  return document.sentences.findIndex(([from, to]) => from <= start && end <= to);
}

export function inOrder(mentions) {
  return [...mentions].sort((a, b) => a.start - b.start || b.end - a.end || a.number - b.number);
}

const LETTERS = /[\p{L}\p{N}\p{M}]/u;

// Where words begin and end in a sentence.
export function words(document, sentence) {
  const [from, to] = document.sentences[sentence];
  const found = [];
  let start = null;
  for (let i = from; i <= to; i++) {
    const inside = i < to && LETTERS.test(document.points[i]);
    if (inside && start === null) start = i;
    if (!inside && start !== null) {
      found.push([start, i]);
      start = null;
    }
  }
  return found;
}

// The sentence as nodes. Mentions that lie in one another are marks in one another; one that crosses another is
// several marks, the last of which carries the label.
export function drawn(document, sentence, mentions, decorate) {
  const [from, to] = document.sentences[sentence];
  const cuts = [...new Set([from, to, ...mentions.flatMap((m) => [m.start, m.end])])].sort((a, b) => a - b);
  const root = window.document.createDocumentFragment();
  const open = [];
  const ordered = inOrder(mentions);
  for (let i = 0; i + 1 < cuts.length; i++) {
    const over = ordered.filter((m) => m.start <= cuts[i] && cuts[i + 1] <= m.end);
    let shared = 0;
    while (shared < open.length && open[shared].mention === over[shared]) shared++;
    open.length = shared;
    for (const mention of over.slice(shared)) {
      const mark = window.document.createElement("mark");
      mark.dataset.number = mention.number;
      decorate(mark, mention);
      (open.at(-1)?.mark ?? root).append(mark);
      open.push({ mention, mark });
    }
    for (const { mention, mark } of open) mark.classList.toggle("last", mention.end === cuts[i + 1]);
    (open.at(-1)?.mark ?? root).append(surface(document, cuts[i], cuts[i + 1]));
  }
  return root;
}

// Code points before a place in an element's text.
export function pointsBefore(element, node, offset) {
  const range = window.document.createRange();
  range.selectNodeContents(element);
  range.setEnd(node, offset);
  return Array.from(range.toString()).length;
}
