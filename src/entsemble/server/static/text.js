// Documents and mentions. Offsets are in code points, as on the server.

let lastNumber = 0;

export function withNumber(mention) {
  return { ...mention, number: ++lastNumber };
}

// A document of a response as the page keeps it. `points` are its code points, which offsets index.
export function pageDocument(response) {
  const points = Array.from(response.text);
  const sentences = response.sentences.length ? response.sentences : points.length ? [[0, points.length]] : [];
  return {
    ...response,
    points,
    sentences,
    mentions: response.mentions.map((mention) => withNumber({ ...mention, state: "" })),
    changedSentences: new Set(),
  };
}

export function surface(document, start, end) {
  return document.points.slice(start, end).join("");
}

export function sentenceAt(document, start, end) {
  return document.sentences.findIndex(([from, to]) => from <= start && end <= to);
}

export function inTextOrder(mentions) {
  return [...mentions].sort((a, b) => a.start - b.start || b.end - a.end || a.number - b.number);
}

const WORD_CHARACTER = /[\p{L}\p{N}\p{M}]/u;

// Start and end of each word in a sentence.
export function wordOffsets(document, sentence) {
  const [from, to] = document.sentences[sentence];
  const offsets = [];
  let start = null;
  for (let i = from; i <= to; i++) {
    const inside = i < to && WORD_CHARACTER.test(document.points[i]);
    if (inside && start === null) start = i;
    if (!inside && start !== null) {
      offsets.push([start, i]);
      start = null;
    }
  }
  return offsets;
}

// The sentence as DOM nodes. Nested mentions become nested marks. A mention that crosses another one is split into
// several marks, the last of which carries the label.
export function renderSentence(document, sentence, mentions, decorate) {
  const [from, to] = document.sentences[sentence];
  const cuts = [...new Set([from, to, ...mentions.flatMap((mention) => [mention.start, mention.end])])].sort((a, b) => a - b);
  const root = window.document.createDocumentFragment();
  const open = [];
  const ordered = inTextOrder(mentions);
  for (let i = 0; i + 1 < cuts.length; i++) {
    const covering = ordered.filter((mention) => mention.start <= cuts[i] && cuts[i + 1] <= mention.end);
    let shared = 0;
    while (shared < open.length && open[shared].mention === covering[shared]) shared++;
    open.length = shared;
    for (const mention of covering.slice(shared)) {
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

// The number of code points before a position in an element's text.
export function pointsBefore(element, node, offset) {
  const range = window.document.createRange();
  range.selectNodeContents(element);
  range.setEnd(node, offset);
  return Array.from(range.toString()).length;
}
