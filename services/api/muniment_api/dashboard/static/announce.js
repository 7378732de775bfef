// Tells screen readers how indexing goes: its begin, each quarter, its end. The visible counters change twice a second,
// which nobody can listen to.

import { byId } from "./dom.js";
import { count } from "./format.js";

const quarters = new Map(); // job id -> the last quarter told

export function announce(type, job) {
  const words = wordsFor(type, job);
  if (words) byId("announcer").textContent = `${job.project}: ${words}`;
}

function wordsFor(type, job) {
  if (type === "index_failed") return `indexing failed. ${job.error?.message ?? ""}`;
  if (job.kind === "update") return ""; // a save of a file is no news
  const processed = `${count(job.files.done + job.files.failed, "file")} processed`;
  if (type === "index_started") return "indexing started";
  if (type === "index_complete") return `indexing complete, ${processed}`;
  if (type === "index_progress") {
    const quarter = Math.floor(job.percent / 25);
    if (quarter === (quarters.get(job.id) ?? 0)) return "";
    quarters.set(job.id, quarter);
    return `${quarter * 25} percent, ${processed}`;
  }
  return "";
}
