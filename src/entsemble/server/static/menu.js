// The menu of labels at the selected words, or at the current mention.

import { addMention, relabel } from "./actions.js";
import { $, button, element, focusText } from "./dom.js";
import { colour, currentSpan, enqueue, on, state, textBetween } from "./store.js";
import { selectedRange } from "./text.js";
import { wholeWords } from "./words.js";

const SLACK = 60; // pixels that the page may scroll before the menu of a mention is closed

const menu = () => $("menu");
let range = null; // the words that the menu labels; `null` for the current mention

let openedAt = 0; // how far the page was scrolled
let pending = null; // timer of a selection that the menu has not been opened for yet

// Whether there is something for a label key besides the current mention.
function isMenuOpen() {
  if (pending) openAtSelection();
  return !menu().hidden;
}

// Whether it was open.
export function closeMenu() {
  if (menu().hidden) return false;
  const hadFocus = menu().contains(document.activeElement);
  menu().hidden = true;
  range = null;
  if (hadFocus) focusText();
  return true;
}

// Labels what the menu is open for; `null` if it is closed.
export function labelFromMenu(label) {
  if (!isMenuOpen()) return null;
  const words = range;
  closeMenu();
  return words ? addMention(words.start, words.end, label) : relabel(label);
}

function show(text, rectangle, exact) {
  const items = state.labels.map(({ name }, index) =>
    element(
      "button",
      { type: "button", role: "menuitem", className: `chip ${colour(name)}`, onclick: () => enqueue(() => labelFromMenu(name)) },
      name,
      ...(index < 9 ? [" ", element("kbd", {}, index + 1)] : []),
    ),
  );
  if (exact) {
    const use = () => {
      range = exact;
      show(textBetween(exact.start, exact.end), rectangle, null);
      menu().querySelector("button")?.focus();
    };
    items.push(button("only what is selected", use, { role: "menuitem", className: "plain" }));
  }
  menu().setAttribute("aria-label", `Label of “${text}”`);
  menu().replaceChildren(element("p", { className: "quiet", role: "presentation" }, text), ...items);
  menu().hidden = false;
  openedAt = window.scrollY;
  const { width, height } = menu().getBoundingClientRect();
  const left = Math.max(8, Math.min(rectangle.left, window.innerWidth - width - 8));
  const below = rectangle.bottom + 6;
  const top = below + height < window.innerHeight ? below : Math.max(8, rectangle.top - height - 6);
  menu().style.left = `${left}px`;
  menu().style.top = `${top}px`;
}

// For the current mention, with the focus in the menu.
export function openMenu() {
  const span = currentSpan();
  if (!span || !$("current-mention")) return;
  range = null;
  show(textBetween(span.start, span.end), $("current-mention").getBoundingClientRect(), null);
  menu().querySelector("button")?.focus();
}

// For the selected words; the focus and the selection stay where they are, so that the text can be copied.
function openAtSelection() {
  clearTimeout(pending);
  pending = null;
  const selected = selectedRange();
  const words = selected && wholeWords(selected.start, selected.end);
  if (!words) return range && closeMenu();
  range = words;
  const isExact = words.start === selected.start && words.end === selected.end;
  show(textBetween(words.start, words.end), selected.rectangle, isExact ? null : { start: selected.start, end: selected.end });
}

function moveFocus(event) {
  const items = [...menu().querySelectorAll("button")];
  const at = items.indexOf(document.activeElement);
  const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!by || at < 0) return;
  event.preventDefault();
  items[(at + by + items.length) % items.length].focus();
}

export function startMenu() {
  let isPressed = false;
  const later = () => {
    clearTimeout(pending);
    pending = isPressed ? null : setTimeout(openAtSelection, 120);
  };
  $("text-pane").addEventListener("pointerdown", () => { isPressed = true; });
  for (const kind of ["pointerup", "pointercancel"]) {
    document.addEventListener(kind, (event) => {
      isPressed = false;
      if (!menu().contains(event.target)) later();
    });
  }
  document.addEventListener("selectionchange", later);
  document.addEventListener("pointerdown", (event) => menu().contains(event.target) || closeMenu());
  window.addEventListener("scroll", () => range || Math.abs(window.scrollY - openedAt) < SLACK || closeMenu(), { passive: true });
  menu().addEventListener("keydown", moveFocus);
  on("select", closeMenu);
  on("open", closeMenu);
}
