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
export async function get(path, options = {}) {
  const response = await fetch(`api/v1/${path}`, { ...options, headers: { Accept: "application/json" } });
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
