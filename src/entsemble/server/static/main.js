// The page of a review: starts its parts, and opens the first document that is not done.

import { addCandidate } from "./actions.js";
import { isReady, setKey } from "./api.js";
import { $, showStatus } from "./dom.js";
import { startForm } from "./form.js";
import { startKeys } from "./keys.js";
import { startList } from "./list.js";
import { startMenu } from "./menu.js";
import { startPanel } from "./panel.js";
import { emit, enqueue, on, openDocument, refresh, select, startPolling, state } from "./store.js";
import { startToolbar } from "./toolbar.js";

const READY_MILLISECONDS = 1000;
const LAST_PLACE = "entsemble-place";

function rememberPlace() {
  if (state.open) sessionStorage.setItem(LAST_PLACE, JSON.stringify({ name: state.open.name, sentence: state.sentence }));
}

function askForKey() {
  $("ask-key").hidden = false;
  if (!$("key-dialog").open) $("key-dialog").showModal();
}

// `#name=DOCUMENT&start=OFFSET` is how the evaluation page refers to a place. Without it, a page that is loaded again goes
// back to its document and sentence, unless that is done.
async function openPlace() {
  const place = new URLSearchParams(location.hash.slice(1));
  const summaries = [...state.documents.values()];
  const named = summaries.find((summary) => summary.name === place.get("name"));
  const undone = summaries.filter((summary) => summary.state !== "done");
  const last = JSON.parse(sessionStorage.getItem(LAST_PLACE) ?? "{}");
  const before = undone.find((summary) => summary.name === last.name);
  const first = named ?? before ?? undone[0] ?? summaries[0];
  $("add").open = !summaries.length;
  if (!first) return emit("open");
  await openDocument(first.id, first === before ? { sentence: last.sentence } : {});
  if (named && place.has("start")) {
    const start = Number(place.get("start"));
    const sentence = state.open.sentences.findLast((one) => one.start <= start)?.number ?? 0;
    await openDocument(first.id, { sentence });
    const span = state.open.sentences[sentence]?.spans.find((one) => one.start === start);
    if (span) select(span.id);
  }
  if (!$("key-dialog").open) $("text-pane").focus({ preventScroll: true });
}

async function waitUntilReady() {
  const problem = await isReady().catch(() => "the server does not answer");
  $("state").textContent = problem ? `models: ${problem}` : "ready";
  if (problem) setTimeout(waitUntilReady, READY_MILLISECONDS);
}

async function begin() {
  await refresh();
  emit("documents", []);
  await openPlace();
}

function onMention(event) {
  const mark = event.target.closest("mark");
  const sentence = event.target.closest(".sentence");
  if (!window.getSelection()?.isCollapsed) return;
  const id = Number(mark?.dataset.span);
  if (mark) enqueue(() => (mark.classList.contains("faint") ? addCandidate(id) : select(id)));
  else if (sentence && Number(sentence.dataset.number) !== state.sentence) {
    const number = Number(sentence.dataset.number);
    enqueue(() => openDocument(state.open.id, { sentence: number }));
  }
}

startKeys();
startMenu();
startList();
startPanel();
startToolbar();
startForm();
on("key", askForKey);
on("open", rememberPlace);
on("select", rememberPlace);
$("text").addEventListener("click", onMention);
$("ask-key").addEventListener("click", askForKey);
$("key-dialog").addEventListener("close", () => {
  if ($("key-dialog").returnValue !== "ok") return;
  setKey($("key").value);
  $("key").value = "";
  enqueue(begin);
});
window.addEventListener("hashchange", () => enqueue(openPlace));
enqueue(begin).then(() => showStatus(""));
startPolling();
waitUntilReady();
