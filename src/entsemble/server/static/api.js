// The server, as the page speaks with it. Nothing else here makes a request, and none goes to another host.

const KEY = "entsemble-key";

export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

export function useKey(key) {
  sessionStorage.setItem(KEY, key);
}

async function ask(path, { method = "GET", body, accept = "application/json", signal } = {}) {
  const headers = { Accept: accept };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.ok) return answer;
  let told = answer.statusText;
  try {
    told = (await answer.json()).error;
  } catch {
    // a proxy's own page, not the server's: its status has to do
  }
  const later = answer.headers.get("Retry-After");
  throw new Refused(answer.status, later ? `${told} (again in ${later} s)` : told);
}

export async function json(path, options) {
  const answer = await ask(path, options);
  return answer.status === 204 ? null : answer.json();
}

export async function file(path, body) {
  const answer = await ask(path, { method: "POST", body, accept: "*/*" });
  const named = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "");
  return { name: named?.[1] ?? "entities", content: await answer.blob() };
}

// Calls `heard(event, data)` for each event of the stream, until it ends.
export async function events(path, body, signal, heard) {
  const answer = await ask(path, { method: "POST", body, accept: "text/event-stream", signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    kept += value;
    const parts = kept.split(/\r?\n\r?\n/);
    kept = parts.pop();
    for (const part of parts) {
      const fields = part.split(/\r?\n/);
      const of = (name) => fields.filter((f) => f.startsWith(`${name}: `)).map((f) => f.slice(name.length + 2)).join("\n");
      if (of("event")) heard(of("event"), JSON.parse(of("data")));
    }
  }
}
