// What the page shows, as text, made of the API's records. The same values as views.py.

import { DASH, count, duration, number, percent } from "./format.js";

const FAILURES_NAMED = 3;
const ENDED = new Set(["completed", "failed", "cancelled"]);
const RESTING = "the wait before the next attempt";
const WAITS_FOR = { "no free slot": "Waits for a free slot", [RESTING]: "Waits for the next attempt" };
const GOES_ON = { can_pause: true, can_resume: false, can_cancel: true, can_retry: false };
const OVER = { can_pause: false, can_resume: false, can_cancel: false, can_retry: true };
const MOVES = {
  queued: GOES_ON,
  blocked: GOES_ON,
  running: GOES_ON,
  paused: { ...GOES_ON, can_pause: false, can_resume: true },
  completed: { ...OVER, can_retry: false },
  failed: OVER,
  cancelled: OVER,
};
const PHASES = { scan: "scanning", lexical: "reading files", vectors: "making vectors", finish: "finishing" };
const BADGES = {
  queued: ["wait", "Queued"],
  blocked: ["wait", "Waiting"],
  running: ["busy", "Running"],
  paused: ["warn", "Paused"],
  completed: ["ok", "Completed"],
  failed: ["bad", "Failed"],
  cancelled: ["idle", "Cancelled"],
};

export function isOver(job) {
  return ENDED.has(job.status);
}

/** Whether it is its project's next, whatever else waits: it was begun already. */
export function rests(job) {
  return job.blocked_by === RESTING;
}

/** `status` null: not known yet. */
export function projectView(project, status, job, now) {
  const view = {
    id: project.id,
    name: project.name,
    folders: project.watch_paths.join(", "),
    ...coverageView(status),
    active: Boolean(job) && !isOver(job),
    percent: 0,
    counter: "",
    pace: "",
    retry_at: null,
    problem: "",
    remedy: "",
    problem_tone: "bad",
  };
  [view.tone, view.badge] = projectBadge(status, job);
  const shown = job ? jobView(job, now) : null;
  Object.assign(view, { job: shown?.id ?? "", title: shown?.title ?? "", can_resume: shown?.can_resume ?? false });
  if (view.active) Object.assign(view, { percent: shown.percent, counter: shown.counter, pace: shown.pace });
  if (job?.error && (view.active || job.status === "failed")) {
    const { problem, remedy, problem_tone, retry_at } = shown;
    Object.assign(view, { problem, remedy, problem_tone, retry_at });
  } else if (status?.warnings.length) {
    const [problem, ...remedy] = status.warnings[0].split(" Remedy: ");
    Object.assign(view, { problem, remedy: remedy.join(" Remedy: ") });
  }
  return view;
}

function coverageView(status) {
  const coverage = status?.coverage;
  return {
    lexical: coverage?.lexical_percent ?? 0,
    lexical_text: coverage ? percent(coverage.lexical_percent) : DASH,
    vectors: coverage?.vector_percent ?? 0,
    vectors_text: coverage ? percent(coverage.vector_percent) : DASH,
    files: coverage ? number(coverage.files_total) : DASH,
    chunks: coverage ? number(coverage.chunks) : DASH,
    pending: status ? number(status.pending_changes) : DASH,
    memories: status ? number(status.memories) : DASH,
    commit: status?.commit?.slice(0, 10) ?? DASH,
    reconciled: status?.last_reconcile?.at ?? null,
    never_reconciled: !status?.last_reconcile,
  };
}

function projectBadge(status, job) {
  if (job && !isOver(job)) return job.status === "running" ? ["busy", "Indexing…"] : BADGES[job.status];
  if (job?.status === "failed") return BADGES.failed;
  if (!status) return ["idle", "Unknown"];
  if (status.state === "empty") return ["idle", "Empty"];
  if (status.warnings.length) return ["warn", "Nothing indexed"];
  return status.up_to_date ? ["ok", "Up to date"] : ["warn", "Behind"];
}

/** `now`: milliseconds since 1970. */
export function jobView(job, now) {
  const partly = job.status === "completed" && job.with_errors;
  const [tone, badge] = partly ? ["warn", "Completed with errors"] : BADGES[job.status];
  return {
    id: job.id,
    project: job.project,
    kind: job.paths.length ? `${job.kind} of ${count(job.paths.length, "path")}` : job.kind,
    title: `${job.kind} of ${job.project}`,
    tone,
    badge,
    active: !isOver(job),
    percent: job.percent,
    counter: counter(job),
    pace: pace(job, now),
    last_file: job.status === "running" ? (job.last_file ?? "") : "",
    created: job.created_at,
    started: job.started_at,
    finished: job.finished_at,
    took: took(job),
    retries: job.retries ? `Tried again ${count(job.retries, "time")}` : "",
    retry_at: rests(job) ? job.retry_at : null,
    problem: job.error?.message ?? failures(job),
    remedy: job.error?.remedy ?? "",
    problem_tone: job.error && job.status !== "failed" ? "warn" : "bad",
    ...MOVES[job.status],
  };
}

function counter(job) {
  const processed = job.files.done + job.files.failed;
  if (isOver(job)) return `${count(processed, "file")} processed`;
  if (job.status === "blocked") return WAITS_FOR[job.blocked_by] ?? "Waits for the job before it";
  if (job.status === "queued") return "Waits for a worker";
  if (job.phase === "scan" && job.files.total === 0) return "Looking for files";
  return `${number(processed)} of ${count(job.files.total, "file")} processed`;
}

function pace(job, now) {
  if (job.status === "paused") return percent(job.percent);
  if (job.status !== "running") return "";
  const parts = [percent(job.percent)];
  if (job.rate !== null) parts.push(`${number(Math.floor(job.rate + 0.5))} files/s`);
  const left = secondsLeft(job, now);
  if (left !== null) parts.push(`about ${duration(left)} left`);
  return [...parts, PHASES[job.phase]].join(" · ");
}

function secondsLeft(job, now) {
  if (job.eta_seconds !== null || job.estimate_seconds === null || job.started_at === null) return job.eta_seconds;
  if (job.attempt > 1) return null; // it began long before: it was paused or put back in between
  const left = job.estimate_seconds - (now - Date.parse(job.started_at)) / 1000;
  return left > 0 ? left : null;
}

function took(job) {
  if (!job.started_at || !job.finished_at) return "";
  return duration((Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000);
}

function failures(job) {
  if (!job.files.failed) return "";
  const named = job.failures.slice(0, FAILURES_NAMED).map((failure) => `${failure.path} (${failure.reason})`);
  const more = named.length && job.files.failed > named.length ? ["…"] : [];
  const which = [...named, ...more].join(", ");
  return `${count(job.files.failed, "file")} failed${which && ": "}${which}`;
}

/** The header over a search's results: how far to trust them. */
export function answerView(answer) {
  const { index, results } = answer;
  const empty = index.state === "empty";
  const complete = index.lexical_percent === 100 && index.vector_percent === 100 && index.pending_changes === 0;
  return {
    found: `${results.length ? count(results.length, "result") : "No results"} in ${number(Math.round(answer.took_ms))} ms`,
    coverage: empty
      ? "nothing was indexed yet"
      : `${percent(index.lexical_percent)} lexical, ${percent(index.vector_percent)} vectors`,
    as_of: index.as_of,
    commit: index.commit?.slice(0, 10) ?? "",
    pending: index.pending_changes ? `${count(index.pending_changes, "change")} pending` : "no changes pending",
    partial: !complete,
    problem: answer.degraded.join(" "),
  };
}

export function resultView(hit) {
  return {
    where: `${hit.path}:${hit.start_line}-${hit.end_line}`,
    symbol: hit.symbol ?? "",
    stale: hit.stale,
    score: hit.score.toFixed(2),
    text: hit.text.replace(/^\n+|\n+$/g, ""),
  };
}
