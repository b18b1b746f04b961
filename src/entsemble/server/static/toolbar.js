// The bars that stay in view: progress, undo and redo, filters, the name of the document, and the export.

import { requestFile, requestJson } from "./api.js";
import * as actions from "./actions.js";
import { $, duration, element, focusText, plural, showProblem, showStatus } from "./dom.js";
import { colour, enqueue, isMention, on, openDocument, state } from "./store.js";
import { filters, redrawAll } from "./text.js";

const does = (action) => () => enqueue(async () => {
  await action();
  focusText();
});

function drawHistory() {
  for (const name of ["undo", "redo"]) {
    $(name).disabled = !state[name];
    $(name).title = state[name] ? `${name} “${state[name]}”` : `nothing to ${name}`;
  }
}

function drawWork() {
  const { work } = state;
  $("work").hidden = !work;
  if (!work) return;
  const waiting = [...state.documents.values()].filter((summary) => summary.extraction === "waiting" && summary.id !== work.document).length;
  const name = state.documents.get(work.document)?.name ?? "";
  const where = work.document === state.open?.id ? "" : ` of ${name}`;
  const left = work.done && work.seconds !== null ? `, ${duration(work.seconds)}` : work.done ? "" : ": the models are being loaded";
  $("work-text").textContent = `sentence ${Math.min(work.done + 1, work.total)} of ${work.total}${where}${left}${waiting ? `; ${plural(waiting, "document")} waiting` : ""}`;
  $("work-text").title = $("work-text").textContent;
  $("work-bar").max = Math.max(1, work.total);
  $("work-bar").value = work.done;
}

function drawDocument() {
  const summary = state.documents.get(state.open?.id);
  $("document-bar").hidden = !summary;
  $("open-hint").hidden = Boolean(summary) || !state.documents.size;
  if (!summary) return;
  $("document-name").textContent = $("document-name").title = summary.name;
  $("document-facts").textContent = `${plural(summary.mentions, "mention")}, ${summary.signed} of ${plural(summary.sentences, "sentence")} signed off`;
  $("finish").firstChild.textContent = summary.state === "done" ? "Reopen " : "Done, next ";
  const incomplete = { cancelled: "The extraction was cancelled.", failed: `The extraction failed: ${summary.problem}.` }[summary.extraction];
  $("incomplete").hidden = !incomplete;
  $("incomplete-text").textContent = incomplete ?? "";
}

const ALWAYS_SHOWN = 8; // with more labels, those without a mention in the document are left out of the filters
let countsKey = "";

function drawFilters() {
  const counts = new Map(state.labels.map(({ name }) => [name, 0]));
  for (const span of state.open?.spans.values() ?? []) if (isMention(span)) counts.set(span.label, (counts.get(span.label) ?? 0) + 1);
  if (state.labels.length > ALWAYS_SHOWN) {
    for (const [label, count] of counts) if (!count && !filters.hidden.has(label)) counts.delete(label);
  }
  const key = JSON.stringify([...counts, ...filters.hidden]);
  if (key === countsKey) return;
  countsKey = key;
  const focused = document.activeElement?.dataset?.filter;
  $("filters").replaceChildren(
    ...[...counts].map(([label, count]) => {
      const toggle = () => {
        filters.hidden.has(label) ? filters.hidden.delete(label) : filters.hidden.add(label);
        redrawAll();
        drawFilters();
      };
      return element("button", { type: "button", className: `chip ${colour(label)}`, ariaPressed: String(!filters.hidden.has(label)), dataset: { filter: label }, onclick: toggle }, `${label} ${count}`);
    }),
  );
  if (focused !== undefined) [...$("filters").children].find((chip) => chip.dataset.filter === focused)?.focus();
}

// What stays in view at the top, so that the one lies below the other, and nothing is scrolled behind them.
function measureBars() {
  const observer = new ResizeObserver(() => {
    const { style } = document.documentElement;
    style.setProperty("--header", `${document.querySelector("header").offsetHeight}px`);
    style.setProperty("--bars", `${$("bars").offsetHeight}px`);
  });
  observer.observe(document.querySelector("header"));
  observer.observe($("bars"));
}

function startSliders() {
  let frame = null;
  const redraw = () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(redrawAll);
  };
  $("min-score").addEventListener("input", () => {
    filters.minScore = Number($("min-score").value);
    $("min-score-value").textContent = filters.minScore.toFixed(2);
    redraw();
  });
  $("candidate-score").addEventListener("input", () => {
    const value = 1 - Number($("candidate-score").value);
    filters.candidateScore = value === 1 ? 1.01 : value;
    $("candidate-score-value").textContent = value === 1 ? "none" : `${value.toFixed(2)} or more`;
    redraw();
  });
}

async function download() {
  const query = `format=${$("format").value}&only_done=${$("only-done").checked}`;
  const { name, content } = await requestFile(`/v1/review/export?${query}`);
  const link = element("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
  showStatus(`${name} written`);
}

async function extractOpen(again) {
  const { id } = state.open;
  await requestJson("/v1/review/extraction", { method: "POST", body: { documents: [id], again } });
  await openDocument(id);
}

export function startToolbar() {
  let frame = null;
  const drawSoon = () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      drawDocument();
      drawFilters();
    });
  };
  for (const event of ["documents", "sentences", "open", "settings"]) on(event, drawSoon);
  on("history", drawHistory);
  on("work", drawWork);
  on("gone", (isGone) => { $("gone").hidden = !isGone; });
  $("undo").addEventListener("click", does(() => actions.changeHistory("undo")));
  $("redo").addEventListener("click", does(() => actions.changeHistory("redo")));
  $("previous").addEventListener("click", does(() => actions.stepDocument(-1)));
  $("next").addEventListener("click", does(() => actions.stepDocument(1)));
  $("finish").addEventListener("click", does(actions.finish));
  $("delete").addEventListener("click", does(actions.remove));
  $("extract-again").addEventListener("click", does(() => extractOpen(true)));
  $("continue").addEventListener("click", does(() => extractOpen(false)));
  $("cancel").addEventListener("click", does(() => requestJson("/v1/review/extraction", { method: "DELETE" })));
  $("order").addEventListener("change", () => {
    actions.order.leastCertainFirst = $("order").value === "least";
    focusText();
  });
  $("download").addEventListener("click", () => enqueue(download));
  $("show-keys").addEventListener("click", () => $("help").showModal());
  $("close-problem").addEventListener("click", () => {
    showProblem("");
    focusText();
  });
  $("close-help").addEventListener("click", () => $("help").close());
  startSliders();
  measureBars();
  drawHistory();
}
