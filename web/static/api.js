// Talks to the API of this page's own host; remembers the session's cross-site token and nothing else.

export const session = { token_set: false, may_read: false, may_act: false, csrf: null };

export class Refused extends Error {
  constructor(status, problem) {
    super(`${problem.message}. ${problem.hint}`);
    this.status = status;
    this.guard = problem.guard;
  }
}

async function ask(method, path, body) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (session.csrf) headers["X-CSRF-Token"] = session.csrf;
  const answer = await fetch(path, {
    method, headers, credentials: "same-origin", body: body === undefined ? undefined : JSON.stringify(body),
  });
  const found = await answer.json().catch(() => ({}));
  if (answer.ok) return found;
  if (answer.status === 401) window.dispatchEvent(new Event("logged-out"));
  throw new Refused(answer.status, found.error ?? { message: `status ${answer.status}`, hint: "look into the log" });
}

export function get(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(given).toString();
  return ask("GET", query ? `${path}?${query}` : path);
}

const ALIVE_MS = 2500;

// Whether window and bot are there; an answer that does not come in time is none.
export async function health() {
  const answer = await fetch("/api/health", { priority: "high", credentials: "same-origin", signal: AbortSignal.timeout(ALIVE_MS) });
  return answer.json();
}

export const post = (path, body = {}) => ask("POST", path, body);

export async function readSession() {
  return Object.assign(session, await get("/api/session"));
}

export async function logIn(token) {
  return Object.assign(session, await post("/api/login", { token }));
}

export async function logOut() {
  return Object.assign(session, await post("/api/logout"));
}
