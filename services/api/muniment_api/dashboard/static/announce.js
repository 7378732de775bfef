// Tells screen readers how indexing goes: its begin, each quarter, its stops, its end. The visible counters change twice
// a second, which nobody can listen to.

import { byId } from "./dom.js";
import { count } from "./format.js";

const STOPS = { index_paused: "paused", index_resumed: "resumed", index_cancelled: "cancelled" };
const quarters = new Map(); // job id -> the last quarter told

export function announce(type, job) {
  const words = wordsFor(type, job);
  if (words) say(job, words);
}

export function say(job, words) {
  byId("announcer").textContent = `${job.project}: ${words}`;
}

function wordsFor(type, job) {
  if (type === "index_failed") return `indexing failed. ${job.error?.message ?? ""}`;
  if (type in STOPS) return `${job.kind} ${STOPS[type]}`;
  if (job.kind === "update") return ""; // a save of a file is no news
  const processed = `${count(job.files.done + job.files.failed, "file")} processed`;
  if (type === "index_started") return "indexing started";
  if (type === "index_complete") return `indexing complete, ${processed}`;
  if (type === "index_progress" || type === "index_milestone") {
    const quarter = Math.floor(job.percent / 25);
    if (quarter === (quarters.get(job.id) ?? 0)) return "";
    quarters.set(job.id, quarter);
    return `${quarter * 25} percent, ${processed}`;
  }
  return "";
}
