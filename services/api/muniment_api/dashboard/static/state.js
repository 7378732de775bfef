// What the page knows of projects and jobs. Events and answers come in any order: an answer that was asked for before
// an event never overwrites what that event said.

import { isOver, rests } from "./view.js";

// which of its jobs stands for a project; one that is over: 3
const PLACES = { running: 0, queued: 1, blocked: 1, paused: 2 };

export class State {
  constructor(jobsShown) {
    this.projects = new Map(); // id -> {project, status, job, touched}
    this.jobs = new Map(); // id -> {job, touched}
    this.removed = new Set(); // ids of projects; none is ever given again
    this.jobsShown = jobsShown;
    this.clock = 0; // counts events; `touched` is its value at an entry's last event
  }

  // --- events ------------------------------------------------------------------------------------------------------

  putProject(project) {
    const known = this.projects.get(project.id);
    if (known) Object.assign(known, { project, touched: ++this.clock });
    else this.projects.set(project.id, { project, status: null, job: this.#current(project.id), touched: ++this.clock });
  }

  removeProject(id) {
    this.projects.delete(id);
    this.removed.add(id);
  }

  /** False: it is older than what is known. */
  putJob(job) {
    const known = this.jobs.get(job.id)?.job;
    if (known && isOlder(job, known)) return false;
    const touched = ++this.clock;
    this.jobs.set(job.id, { job, touched });
    this.#tellThoseBehind(job, touched);
    const entry = this.projects.get(job.project_id); // a project's first job is told before the project
    if (entry) Object.assign(entry, { job: this.#current(job.project_id), touched });
    return true;
  }

  /** No event says that a job waits for another now, or waits for it no more. */
  #tellThoseBehind(job, touched) {
    const lets = isOver(job) || job.status === "paused";
    for (const [id, { job: other }] of this.jobs) {
      if (other.project_id !== job.project_id || id === job.id) continue;
      const waits = other.status === "queued" || other.status === "blocked";
      if (job.status === "running" && waits) {
        this.jobs.set(id, { job: { ...other, status: "blocked", blocked_by: job.id }, touched });
      } else if (lets && other.blocked_by === job.id) {
        this.jobs.set(id, { job: { ...other, status: "queued", blocked_by: null }, touched });
      }
    }
  }

  // --- answers: `since` is the clock when they were asked for ---------------------------------------------------------

  setProjects(projects, since) {
    const ids = new Set(projects.map((project) => project.id));
    for (const [id, entry] of this.projects) if (!ids.has(id) && entry.touched <= since) this.projects.delete(id);
    for (const project of projects) {
      const known = this.projects.get(project.id);
      if (known && known.touched <= since) known.project = project;
      if (known || this.removed.has(project.id)) continue;
      this.projects.set(project.id, { project, status: null, job: this.#current(project.id), touched: since });
    }
  }

  setStatus(id, status, since) {
    const entry = this.projects.get(id);
    if (!entry) return;
    entry.status = status;
    if (entry.touched <= since) entry.job = status.job;
  }

  setJob(job, since) {
    if ((this.jobs.get(job.id)?.touched ?? 0) <= since) this.putJob(job);
  }

  setJobs(jobs, since) {
    const newer = [...this.jobs].filter(([, entry]) => entry.touched > since);
    this.jobs = new Map([...jobs.map((job) => [job.id, { job, touched: 0 }]), ...newer]);
  }

  // --- looking -----------------------------------------------------------------------------------------------------

  job(id) {
    return this.jobs.get(id)?.job ?? [...this.projects.values()].find((entry) => entry.job?.id === id)?.job;
  }

  /** As the server chooses it: the one that runs, else the next one, else the one paused last, else the newest. */
  #current(projectId) {
    const entries = [...this.jobs.values()].filter((entry) => entry.job.project_id === projectId);
    const shown = this.projects.get(projectId)?.job;
    if (shown && !this.jobs.has(shown.id)) entries.push({ job: shown, touched: 0 }); // not among those of the table
    return entries.sort(byPlace)[0]?.job ?? null;
  }

  sortedProjects() {
    const name = (entry) => entry.project.name.toLowerCase(); // the order of GET /projects
    return [...this.projects.values()].sort((one, other) => (name(one) < name(other) ? -1 : 1));
  }

  /** The newest, and before them all that are not over: a long one must not be pushed out by many short ones. */
  recentJobs() {
    const order = (one, other) => isOver(one) - isOver(other) || (one.created_at < other.created_at ? 1 : -1);
    const jobs = [...this.jobs.values()].map((entry) => entry.job).sort(order);
    for (const job of jobs.slice(this.jobsShown)) this.jobs.delete(job.id);
    return jobs.slice(0, this.jobsShown);
  }
}

/** Ended is ended; and a pass may tell of its progress in the moment in which it is stopped. */
function isOlder(job, known) {
  if (isOver(known)) return !isOver(job);
  return job.status === "running" && known.status !== "running" && job.attempt <= known.attempt;
}

function byPlace({ job: one, touched: oneTouched }, { job: other, touched: otherTouched }) {
  const place = PLACES[one.status] ?? 3;
  const before = place - (PLACES[other.status] ?? 3);
  if (before) return before;
  const newer = one.created_at < other.created_at ? 1 : -1;
  if (place === 1) return rests(other) - rests(one) || -newer;
  return place === 2 ? otherTouched - oneTouched || newer : newer;
}
