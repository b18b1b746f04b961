"use strict";
// Filters the mentions of an exported page by label and score, and steps through them: ← and →, or a click; 1 to 9 for labels.
const marks = [...document.querySelectorAll("mark")];
const chips = [...document.querySelectorAll(".chip")];
const score = document.getElementById("score");
const facts = document.getElementById("facts");

const shown = () => marks.filter((mark) => !mark.classList.contains("hidden"));

function filter() {
  const labels = new Set(chips.filter((chip) => chip.ariaPressed === "true").map((chip) => chip.dataset.label));
  for (const mark of marks) {
    const value = mark.dataset.score === "" ? 1 : Number(mark.dataset.score);
    const isHidden = !labels.has(mark.dataset.label) || value < Number(score.value);
    mark.classList.toggle("hidden", isHidden);
    if (isHidden) mark.removeAttribute("tabindex");
    else mark.tabIndex = -1;
  }
  const visible = shown();
  if (visible.length) visible[0].tabIndex = 0;
  document.getElementById("value").textContent = Number(score.value).toFixed(2);
  document.getElementById("count").textContent = `${visible.length} of ${marks.length} shown`;
}

function select(mark) {
  mark.focus({ preventScroll: true });
  mark.scrollIntoView({ block: "nearest" });
  facts.textContent = mark.title;
}

function toggle(chip) {
  chip.ariaPressed = String(chip.ariaPressed !== "true");
  filter();
}

for (const chip of chips) chip.addEventListener("click", () => toggle(chip));
score.addEventListener("input", filter);
document.addEventListener("click", (event) => {
  const mark = event.target.closest("mark:not(.hidden)");
  if (mark && getSelection().isCollapsed) select(mark);
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const digit = /^Digit([1-9])$/.exec(event.code);
  if (digit && chips[digit[1] - 1]) return toggle(chips[digit[1] - 1]);
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const visible = shown();
  if (!by || !visible.length || event.target === score) return;
  event.preventDefault();
  const at = visible.indexOf(document.activeElement);
  select(visible[at < 0 ? (by > 0 ? 0 : visible.length - 1) : (at + by + visible.length) % visible.length]);
});
filter();
