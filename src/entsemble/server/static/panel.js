// The panel of the current mention and sentence: scores, votes, and a button for each action; the queue of sentences.

import { requestJson } from "./api.js";
import * as actions from "./actions.js";
import { $, button, element, focusText, isNarrow, keyButton, plural } from "./dom.js";
import { colour, currentSpan, enqueue, isMention, on, openDocument, select, state, textBetween } from "./store.js";

const STATUSES = {
  proposed: "not decided",
  accepted: "accepted",
  changed: "changed by you",
  added: "added by you",
  candidate: "rejected by the ensemble",
  rejected: "rejected by you",
};
const FROM_POOL = "answered from the pool"; // the only fate of a mention besides "kept"
const demonstrations = new Map(); // pool id -> text

const does = (action) => () => enqueue(async () => {
  await action();
  focusText();
});

function factRows(span) {
  const { facts } = span;
  return [
    ["status", STATUSES[span.status]],
    ["score", span.score === null ? "none" : span.score.toFixed(2)],
    ["place", `${span.start} to ${span.end}`],
    ...(facts.members ? [["proposed by", facts.members.join(", ")]] : []),
    ...Object.entries(facts.votes ?? {}).map(([member, label]) => [`vote of ${member}`, label]),
    ...(facts.verified ? [["verifier", facts.verified]] : []),
    ...(facts.fate && facts.fate !== "kept" ? [[facts.fate === FROM_POOL ? "why" : "why rejected", [facts.fate, facts.detail].filter(Boolean).join(", ")]] : []),
  ];
}

function labelButtons(span) {
  return state.labels.map(({ name }, index) =>
    element(
      "button",
      { type: "button", className: `chip ${colour(name)}`, ariaPressed: String(isMention(span) && name === span.label), onclick: does(() => actions.relabel(name)) },
      name,
      ...(index < 9 ? [" ", element("kbd", {}, index + 1)] : []),
    ),
  );
}

function drawMention() {
  const span = currentSpan();
  $("mention-none").hidden = Boolean(span);
  $("mention").hidden = !span;
  if (!span) return;
  const text = textBetween(span.start, span.end);
  $("mention-text").textContent = `${text} · ${span.label || "no label"}`;
  $("mention-facts").replaceChildren(...factRows(span).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  $("mention-actions").replaceChildren(
    keyButton(isMention(span) ? "Accept" : "Add", "a", does(actions.accept), { className: "main" }),
    ...(isMention(span) ? [keyButton("Reject", "x", does(actions.reject))] : []),
  );
  $("mention-labels").replaceChildren(...labelButtons(span));
  $("mention-edges").replaceChildren(
    ...[["start", -1, "h"], ["start", 1, "j"], ["end", -1, "k"], ["end", 1, "l"]].map(([side, by, key]) =>
      keyButton(`${side} ${by < 0 ? "◀" : "▶"}`, key, does(() => actions.moveEdge(side, by)), { ariaLabel: `Move the ${side} one word ${by < 0 ? "left" : "right"}` }),
    ),
  );
  const row = (title, ...children) => element("p", { className: "row" }, title, ...children);
  $("mention-names").replaceChildren(
    row(
      "Label all",
      keyButton("here", "g", does(() => actions.allOfName("label-name", "document")), { ariaLabel: "Label all here" }),
      keyButton("everywhere", "G", does(() => actions.allOfName("label-name", "session")), { ariaLabel: "Label all everywhere" }),
    ),
    row(
      "Reject all",
      keyButton("here", "X", does(() => actions.allOfName("reject-name", "document")), { ariaLabel: "Reject all here" }),
      button("everywhere", does(() => actions.allOfName("reject-name", "session")), { ariaLabel: "Reject all everywhere" }),
    ),
  );
}

function drawSentence() {
  const sentence = state.open?.sentences[state.sentence];
  $("sentence-actions").hidden = !sentence;
  if (!sentence) return;
  $("sign").firstChild.textContent = sentence.signed ? "Reopen the sentence " : "Sign the sentence off ";
  const ids = sentence.demonstrations;
  $("demonstrations").hidden = !ids.length;
  $("demonstrations").querySelector("summary").textContent = `Demonstrations (${ids.length})`;
  if ($("demonstrations").open) showDemonstrations();
}

async function showDemonstrations() {
  const ids = state.open?.sentences[state.sentence]?.demonstrations ?? [];
  const texts = await Promise.all(ids.map(demonstration));
  $("demonstration-list").replaceChildren(...texts.map((text) => element("li", {}, text)));
}

async function demonstration(id) {
  const documentId = id.replace(/#\d+$/, "");
  if (!demonstrations.has(documentId)) {
    const found = await requestJson(`/v1/pool/${encodeURIComponent(documentId)}`).catch(() => ({ text: "(no longer in the pool)" }));
    demonstrations.set(documentId, found.text);
  }
  return demonstrations.get(documentId);
}

async function drawQueue() {
  const { sentences } = await requestJson("/v1/review/queue");
  $("queue-count").textContent = sentences.length ? "" : "No undecided mention is left.";
  $("queue").replaceChildren(
    ...sentences.map((row) => {
      const open = () => enqueue(async () => {
        await openDocument(row.document, { sentence: row.sentence });
        const spans = state.open.sentences[row.sentence].spans.filter((span) => span.status === "proposed");
        const [least] = spans.sort((a, b) => (a.score ?? 1) - (b.score ?? 1));
        if (least) select(least.id);
        focusText();
      });
      return element("li", {}, button(row.text, open), element("span", { className: "quiet" }, ` ${row.score.toFixed(2)} · ${row.name}`));
    }),
  );
}

export function startPanel() {
  $("mention-details").open = !isNarrow();
  let frame = null;
  const draw = () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      drawMention();
      drawSentence();
    });
  };
  for (const event of ["select", "sentences", "open", "settings"]) on(event, draw);
  let timer = null;
  const refreshQueue = () => {
    clearTimeout(timer);
    if ($("queue-details").open) timer = setTimeout(() => enqueue(drawQueue), 700);
  };
  on("documents", refreshQueue);
  $("queue-details").addEventListener("toggle", () => $("queue-details").open && enqueue(drawQueue));
  $("demonstrations").addEventListener("toggle", () => $("demonstrations").open && enqueue(showDemonstrations));
  $("sign").addEventListener("click", does(actions.signSentence));
  $("empty").addEventListener("click", does(actions.emptySentence));
  $("least-certain").addEventListener("click", does(actions.leastCertain));
  on("work", () => {
    $("pool-count").textContent = `${plural(state.pool, "sentence")} signed off and in the pool`;
    $("learning").hidden = !state.learning;
  });
}
