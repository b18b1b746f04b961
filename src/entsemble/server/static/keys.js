// Keys. Letters are those that are printed on the key, and digits those of the top row whatever the layout prints there,
// so that no key needs AltGr on a German, French or Nordic keyboard.

import * as actions from "./actions.js";
import { $, element, focusText } from "./dom.js";
import { closeMenu, labelFromMenu, openMenu } from "./menu.js";
import { enqueue, state } from "./store.js";

function searchDocuments() {
  $("list-details").open = true; // it is folded on a narrow screen
  $("search").focus();
}

export const KEYS = [
  ["←  →", "previous, next mention"],
  ["↑  ↓", "previous, next sentence"],
  ["a", "accept the mention, or add the candidate", "a", actions.accept],
  ["x", "reject the mention", "x", actions.reject],
  ["1 … 9", "give the mention, or the selected words, this label"],
  ["m", "menu of all labels", "m", openMenu],
  ["n", "add the next word as a mention; again: the word after it instead", "n", actions.addNextWord],
  ["h  j", "move its start one word left, right"],
  ["k  l", "move its end one word left, right"],
  ["g  G", "label all of this name: here, everywhere"],
  ["X", "reject all of this name here"],
  ["c", "next rejected candidate that is shown", "c", () => actions.stepCandidate(1)],
  ["Enter", "sign the sentence off and go on, or reopen it"],
  ["0", "no names in this sentence"],
  ["q", "go to the least certain sentence", "q", actions.leastCertain],
  ["d", "the document is done; go on, or reopen it", "d", actions.finish],
  ["b  f", "previous, next document"],
  ["s", "search documents", "s", searchDocuments],
  ["Ctrl+Z  Ctrl+Y", "undo, redo"],
  ["Esc", "back to the text, from anywhere"],
  ["?", "these keys", "?", () => $("help").showModal()],
];

const ACTIONS = {
  ...Object.fromEntries(KEYS.filter(([, , key]) => key).map(([, , key, action]) => [key, action])),
  ArrowLeft: () => actions.step(-1),
  ArrowRight: () => actions.step(1),
  ArrowUp: () => actions.stepSentence(-1),
  ArrowDown: () => actions.stepSentence(1),
  Enter: actions.signSentence,
  h: () => actions.moveEdge("start", -1),
  j: () => actions.moveEdge("start", 1),
  k: () => actions.moveEdge("end", -1),
  l: () => actions.moveEdge("end", 1),
  g: () => actions.allOfName("label-name", "document"),
  G: () => actions.allOfName("label-name", "session"),
  X: () => actions.allOfName("reject-name", "document"),
  b: () => actions.stepDocument(-1),
  f: () => actions.stepDocument(1),
};

// These move the focus, and must not wait for the edits before them: what is typed next is for the new place.
const IMMEDIATE_KEYS = new Set(["s", "?"]);

// On a control, these keys do what they always do there.
const CONTROL_KEYS = new Set(["Enter", " ", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]);

function digit(event) {
  const match = /^(?:Digit|Numpad)(\d)$/.exec(event.code);
  return match ? Number(match[1]) : null;
}

function actionFor(event) {
  const number = digit(event);
  if (number === 0) return actions.emptySentence;
  if (number) {
    const label = state.labels[number - 1]?.name;
    return label ? () => labelFromMenu(label) ?? actions.relabel(label) : null;
  }
  return ACTIONS[event.key] ?? null;
}

function handle(event) {
  const { target } = event;
  if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && !event.altKey) {
    const key = event.key.toLowerCase();
    const isEditable = target.matches("textarea, input:not([type=range], [type=checkbox], [type=search])");
    if (isEditable || !["z", "y"].includes(key)) return;
    event.preventDefault();
    enqueue(() => actions.changeHistory(key === "y" || event.shiftKey ? "redo" : "undo"));
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return closeMenu() || focusText();
  if (target.matches("textarea, select, input:not([type=checkbox], [type=range])")) return;
  if (target.closest("button, summary, a, input, [role=menu]") && CONTROL_KEYS.has(event.key)) return;
  const action = actionFor(event);
  if (!action) return;
  event.preventDefault();
  if (IMMEDIATE_KEYS.has(event.key)) action();
  else enqueue(action);
}

export function startKeys() {
  document.addEventListener("keydown", handle);
  $("key-list").replaceChildren(
    ...KEYS.flatMap(([keys, meaning]) => [
      element("dt", {}, ...keys.split("  ").flatMap((key) => [element("kbd", {}, key), " "])),
      element("dd", {}, meaning),
    ]),
  );
}
