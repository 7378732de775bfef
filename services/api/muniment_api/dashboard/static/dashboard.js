// Keeps the page live: it reads the whole state whenever the stream of events opens or says resync, and from then on
// moves by events alone. After an event that changes what is indexed, that one project's status is read once.

import { announce } from "./announce.js";
import { get, latest } from "./api.js";
import { byId, keep, keepFocus, localTimes } from "./dom.js";
import { startMoves, toldOf } from "./moves.js";
import { offerProjects, startSearch } from "./search.js";
import { State } from "./state.js";
import { follow } from "./stream.js";
import { jobView, projectView } from "./view.js";

const COVERAGE_MILLISECONDS = 5000; // a long job's coverage is read at most so often, when its progress comes
const JOB_EVENTS = [
  "job_queued", "index_started", "index_progress", "index_complete",
  "index_failed", "index_paused", "index_resumed", "index_cancelled", "index_milestone",
];
const CHANGES_PROJECTS = ["project_created", "project_updated", "project_removed"];
const CHANGES_STATUS = [
  "memory_stored", "memory_deleted", "index_complete", "index_failed", "index_cancelled", "index_paused",
];

const state = new State(Number(document.body.dataset.jobsShown));
const statusReaders = new Map(); // project id -> {read, at, phase}

// --- showing ---------------------------------------------------------------------------------------------------------

let drawing = false;
let loaded = false; // until then the page shows what the server wrote

function draw() {
  if (drawing || !loaded) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    keepFocus(() => show(state.sortedProjects(), state.recentJobs(), Date.now()));
  });
}

function show(projects, jobs, now) {
  const card = ({ project, status, job }) => ({ ...projectView(project, status, job, now), ...toldOf(job) });
  const row = (job) => ({ ...jobView(job, now), ...toldOf(job) });
  keep(byId("projects"), "project-template", projects.map(card));
  keep(byId("jobs"), "job-template", jobs.map(row));
  offerProjects(projects.map((entry) => entry.project));
  byId("empty").hidden = projects.length > 0;
  byId("jobs-table").hidden = jobs.length === 0;
  byId("no-jobs").hidden = jobs.length > 0;
}

function showProblem(text) {
  byId("banner").textContent = text;
  byId("banner").hidden = text === "";
}

function showStream(now) {
  const sign = byId("stream");
  sign.dataset.stream = now;
  sign.textContent = now;
}

// --- reading state ---------------------------------------------------------------------------------------------------

/** Shows what went wrong instead of throwing. Nothing tries again by itself: the stream's return does. */
function told(ask) {
  return () => ask().catch((error) => {
    // when nothing answers at all, the sign of the stream says so
    if (error.code) showProblem(`${error.message} ${error.remedy}`);
    else if (!(error instanceof TypeError)) throw error;
  });
}

const readAll = told(latest(loadAll, ({ projects, statuses, jobs, since }) => {
  state.setProjects(projects, since);
  for (const status of statuses) if (status) state.setStatus(status.project_id, status, since);
  state.setJobs([...jobs, ...statuses.map((status) => status?.job)].filter(Boolean), since);
  showProblem("");
  loaded = true;
  draw();
}));

async function loadAll() {
  const since = state.clock;
  const asked = [get("projects"), get(`jobs?limit=${state.jobsShown}`), get("queues")];
  const [projects, jobs, queues] = await Promise.all(asked);
  const statuses = Promise.all(projects.items.map((project) => loadStatus(project.id)));
  // a paused job may be older than those of the page
  const known = new Set(jobs.items.map((job) => job.id));
  const old = queues.items.flatMap((queue) => queue.paused_jobs).filter((id) => !known.has(id));
  const paused = Promise.all(old.map((id) => found(`jobs/${encodeURIComponent(id)}`)));
  return { projects: projects.items, statuses: await statuses, jobs: [...jobs.items, ...(await paused)], since };
}

function loadStatus(id) {
  return found(`projects/${encodeURIComponent(id)}/status`);
}

/** Null when it is gone by now. */
async function found(path) {
  try {
    return await get(path);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

function statusReader(id) {
  if (!statusReaders.has(id)) {
    const load = async () => ({ since: state.clock, status: await loadStatus(id) });
    const apply = ({ since, status }) => {
      if (status) state.setStatus(id, status, since);
      draw();
    };
    statusReaders.set(id, { read: told(latest(load, apply)), at: 0, phase: "" });
  }
  return statusReaders.get(id);
}

function readStatus(id) {
  const reader = statusReader(id);
  reader.at = performance.now();
  reader.read();
}

function readStatusIfDue(job) {
  const reader = statusReader(job.project_id);
  const due = job.phase !== reader.phase || performance.now() - reader.at > COVERAGE_MILLISECONDS;
  reader.phase = job.phase;
  if (due) readStatus(job.project_id);
}

// --- events ----------------------------------------------------------------------------------------------------------

function onEvent(event) {
  if (event.type === "resync") readAll();
  else if (CHANGES_PROJECTS.includes(event.type)) onProject(event);
  else if (event.data.job) onJob(event.type, event.data.job);
  if (CHANGES_STATUS.includes(event.type) && state.projects.has(event.project_id)) readStatus(event.project_id);
  draw();
}

function onProject(event) {
  if (event.type === "project_removed") {
    state.removeProject(event.project_id);
    readAll(); // its jobs may be gone too
  } else {
    state.putProject(event.data.project);
    readStatus(event.project_id);
  }
}

function onJob(type, job) {
  if (!state.putJob(job)) return;
  announce(type, job);
  if (type === "index_progress" && state.projects.has(job.project_id)) readStatusIfDue(job);
}

function onState(now) {
  showStream(now);
  if (now === "live") readAll();
}

localTimes();
startSearch();
startMoves(state, draw);
follow([...JOB_EVENTS, ...CHANGES_PROJECTS, "memory_stored", "memory_deleted", "resync"], { onEvent, onState });
