// What the page knows of projects and jobs. Events and answers come in any order: an answer that was asked for before
// an event never overwrites what that event said.

import { isOver } from "./view.js";

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
    else this.projects.set(project.id, { project, status: null, job: this.#jobOf(project.id), touched: ++this.clock });
  }

  removeProject(id) {
    this.projects.delete(id);
    this.removed.add(id);
  }

  putJob(job) {
    const known = this.jobs.get(job.id)?.job;
    if (known && isOver(known)) return; // ended is ended: this is an older event
    const touched = ++this.clock;
    this.jobs.set(job.id, { job, touched });
    const entry = this.projects.get(job.project_id);
    if (!entry) return; // a project's first job is told before the project
    const waits = job.status !== "running" && entry.job && !isOver(entry.job) && entry.job.id !== job.id;
    if (!waits) Object.assign(entry, { job, touched });
  }

  // --- answers: `since` is the clock when they were asked for ---------------------------------------------------------

  setProjects(projects, since) {
    const ids = new Set(projects.map((project) => project.id));
    for (const [id, entry] of this.projects) if (!ids.has(id) && entry.touched <= since) this.projects.delete(id);
    for (const project of projects) {
      const known = this.projects.get(project.id);
      if (known && known.touched <= since) known.project = project;
      if (known || this.removed.has(project.id)) continue;
      this.projects.set(project.id, { project, status: null, job: this.#jobOf(project.id), touched: since });
    }
  }

  setStatus(id, status, since) {
    const entry = this.projects.get(id);
    if (!entry) return;
    entry.status = status;
    if (entry.touched <= since) entry.job = status.job;
  }

  setJobs(jobs, since) {
    const newer = [...this.jobs].filter(([, entry]) => entry.touched > since);
    this.jobs = new Map([...jobs.map((job) => [job.id, { job, touched: 0 }]), ...newer]);
  }

  #jobOf(projectId) {
    const jobs = [...this.jobs.values()].map((entry) => entry.job).filter((job) => job.project_id === projectId);
    return jobs.find((job) => job.status === "running") ?? jobs.find((job) => !isOver(job)) ?? null;
  }

  // --- looking -----------------------------------------------------------------------------------------------------

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
