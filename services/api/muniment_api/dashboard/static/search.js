// The search box.

import { ApiError, get } from "./api.js";
import { byId, fill, made } from "./dom.js";
import { answerView, resultView } from "./view.js";

let running = null;

export function startSearch() {
  byId("search-query").addEventListener("input", (typed) => {
    if (typed.target.value === "") clear();
  });
  byId("search").addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    search(byId("search-project").value, byId("search-query").value);
  });
}

/** Options for exactly these projects; the chosen one stays chosen. */
export function offerProjects(projects) {
  const select = byId("search-project");
  const offered = [...select.options].map((option) => [option.value, option.label]);
  const wanted = projects.map((project) => [project.id, project.name]);
  if (JSON.stringify(offered) !== JSON.stringify(wanted)) {
    const chosen = select.value;
    select.replaceChildren(...wanted.map(([id, name]) => new Option(name, id, false, id === chosen)));
  }
  for (const control of byId("search").elements) control.disabled = projects.length === 0;
}

async function search(project, query) {
  running?.abort();
  const mine = (running = new AbortController());
  const box = byId("answer");
  box.ariaBusy = "true";
  try {
    const path = `projects/${encodeURIComponent(project)}/search?${new URLSearchParams({ q: query })}`;
    show(await get(path, { signal: mine.signal }));
  } catch (error) {
    if (error.name !== "AbortError") showProblem(error);
  } finally {
    if (mine === running) box.ariaBusy = "false";
  }
}

function clear() {
  running?.abort();
  byId("results").replaceChildren();
  byId("answer").hidden = true;
}

function show(answer) {
  const box = byId("answer");
  byId("answer-header").hidden = false;
  fill(box, answerView(answer));
  byId("results").replaceChildren(...answer.results.map((hit) => made("result-template", resultView(hit))));
  box.hidden = false;
}

function showProblem(error) {
  const known = error instanceof ApiError;
  byId("answer-header").hidden = true;
  byId("results").replaceChildren();
  byId("answer-problem").textContent = known ? `${error.message} ${error.remedy}` : "The server does not answer.";
  byId("answer-problem").hidden = false;
  byId("answer").hidden = false;
}
