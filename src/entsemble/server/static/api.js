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

async function request(path, { method = "GET", body, file } = {}) {
  const headers = { Accept: "*/*" };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (file) headers["Content-Type"] = "application/octet-stream";
  const response = await fetch(path, { method, headers, body: file ?? (body === undefined ? undefined : JSON.stringify(body)) });
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

export async function requestFile(path) {
  const response = await request(path);
  const match = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "");
  return { name: match?.[1] ?? "review", content: await response.blob() };
}

export async function isReady() {
  const response = await fetch("/readyz");
  return response.ok ? "" : ((await response.json()).error ?? "loading");
}
