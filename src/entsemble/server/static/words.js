// Words of the open document: what is selected grows to whole words, and edges move from word to word.

import { state, textBetween } from "./store.js";

const WORD_CHARACTER = /[\p{L}\p{N}\p{M}]/u;
const UNSPACED = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u;

const characterAt = (offset) => textBetween(offset, offset + 1);
const isInside = (before, after) => WORD_CHARACTER.test(before) && WORD_CHARACTER.test(after) && !UNSPACED.test(before + after);
const joins = (offset) => offset > 0 && isInside(characterAt(offset - 1), characterAt(offset));

// The range without surrounding white space, grown to whole words.
export function wholeWords(start, end) {
  while (start < end && !characterAt(start).trim()) start++;
  while (start < end && !characterAt(end - 1).trim()) end--;
  if (start === end) return null;
  while (joins(start)) start--;
  while (joins(end)) end++;
  return { start, end };
}

// Start and end of each word of a sentence.
export function wordOffsets(number) {
  const sentence = state.open.sentences[number];
  const offsets = [];
  let begin = null;
  for (let offset = sentence.start; offset <= sentence.end; offset++) {
    const isWord = offset < sentence.end && WORD_CHARACTER.test(characterAt(offset));
    if (begin !== null && (!isWord || !joins(offset))) {
      offsets.push([begin, offset]);
      begin = null;
    }
    if (isWord && begin === null) begin = offset;
  }
  return offsets;
}

// Where an edge of a span goes if it moves by a word; `null` if it cannot.
export function movedEdge(span, side, by) {
  const numbers = [span.sentence - 1, span.sentence, span.sentence + 1].filter((number) => state.open.sentences[number]);
  const edges = numbers.flatMap(wordOffsets).map((word) => word[side === "start" ? 0 : 1]);
  const next = by > 0 ? edges.find((edge) => edge > span[side]) : edges.filter((edge) => edge < span[side]).at(-1);
  const moved = { start: span.start, end: span.end, [side]: next };
  return next === undefined || moved.start >= moved.end ? null : moved;
}
