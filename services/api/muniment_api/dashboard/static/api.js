// The REST calls of the page.

export class ApiError extends Error {
  constructor(body, status) {
    super(body.message);
    this.code = body.code;
    this.remedy = body.remedy ?? "";
    this.status = status;
  }
}

/** The answer to a GET below /api/v1. Throws ApiError, or TypeError when nothing answers. */
export function get(path, options = {}) {
  return answered(path, { ...options, headers: { Accept: "application/json" } });
}

/** The answer to a POST below /api/v1; throws as `get` does. */
export function post(path, body = {}) {
  const headers = { Accept: "application/json", "Content-Type": "application/json" };
  return answered(path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function answered(path, request) {
  const response = await fetch(`api/v1/${path}`, request);
  if (response.ok) return response.json();
  const known = response.headers.get("Content-Type")?.startsWith("application/json");
  throw new ApiError(known ? await response.json() : { message: `The server answered ${response.status}.` }, response.status);
}

/** A function that loads and applies. Asked again while it loads, it drops that answer, old by then, and loads anew. */
export function latest(load, apply) {
  let running = false;
  let again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    try {
      while (again) {
        again = false;
        const answer = await load();
        if (!again) apply(answer);
      }
    } finally {
      running = false;
    }
  };
}
