// The client of the server's HTTP interface. All requests are made here, and none goes to another host.

const KEY = "entsemble-key";

export class RequestError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function setKey(key) {
  sessionStorage.setItem(KEY, key);
}

async function request(path, { method = "GET", body, accept = "application/json", signal } = {}) {
  const headers = { Accept: accept };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  if (response.ok) return response;
  let message = response.statusText;
  try {
    message = (await response.json()).error;
  } catch {
    // The response is not the server's but, for example, a proxy's: its status has to do.
  }
  const retryAfter = response.headers.get("Retry-After");
  throw new RequestError(response.status, retryAfter ? `${message} (try again in ${retryAfter} s)` : message);
}

export async function requestJson(path, options) {
  const response = await request(path, options);
  return response.status === 204 ? null : response.json();
}

export async function requestFile(path, body) {
  const response = await request(path, { method: "POST", body, accept: "*/*" });
  const match = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "");
  return { name: match?.[1] ?? "entities", content: await response.blob() };
}

// Calls `onEvent(name, data)` for each server-sent event, until the stream ends.
export async function requestEvents(path, body, signal, onEvent) {
  const response = await request(path, { method: "POST", body, accept: "text/event-stream", signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const events = buffer.split(/\r?\n\r?\n/);
    buffer = events.pop();
    for (const event of events) {
      const lines = event.split(/\r?\n/);
      const field = (name) => lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2)).join("\n");
      if (field("event")) onEvent(field("event"), JSON.parse(field("data")));
    }
  }
}
