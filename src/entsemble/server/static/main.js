// The page of a review: starts its parts, and opens the first document that is not done.

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

function askForKey() {
  $("ask-key").hidden = false;
  if (!$("key-dialog").open) $("key-dialog").showModal();
}

// `#name=DOCUMENT&start=OFFSET` is how the evaluation page refers to a place.
async function openPlace() {
  const place = new URLSearchParams(location.hash.slice(1));
  const summaries = [...state.documents.values()];
  const named = summaries.find((summary) => summary.name === place.get("name"));
  const first = named ?? summaries.find((summary) => summary.state !== "done") ?? summaries[0];
  $("add").open = !summaries.length;
  if (!first) return emit("open");
  await openDocument(first.id);
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
  if (mark) enqueue(() => select(Number(mark.dataset.span)));
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
