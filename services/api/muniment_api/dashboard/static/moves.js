// What people may do with a job: pause, resume, cancel and retry it. What was asked here, and what came of it, stands
// in no record: the page keeps it beside the job, until the next thing is asked.

import { say } from "./announce.js";
import { ApiError, post } from "./api.js";
import { byId, fill } from "./dom.js";
import { percent } from "./format.js";

const BECOMES = { pause: "paused", resume: "resumed", cancel: "cancelled", retry: "queued again" };
const told = new Map(); // job id -> {busy, refusal, refusal_remedy, done, can_retry}

/** `draw` shows what has changed in `state` or here. */
export function startMoves(state, draw) {
  document.addEventListener("click", (clicked) => {
    const button = clicked.target.closest("button[data-move]");
    const job = button && state.job(button.closest("[data-job]").dataset.job);
    if (!job || toldOf(job)?.busy) return;
    const move = (body) => ask(button.dataset.move, job, body, state, draw);
    if (button.dataset.move === "cancel") confirmed(job, () => move({ confirm: true }));
    else move();
  });
}

/** What the page adds to the view of a job. */
export function toldOf(job) {
  return told.get(job?.id);
}

async function ask(move, job, body, state, draw) {
  told.set(job.id, { busy: true });
  draw();
  const since = state.clock;
  try {
    const answer = await post(`jobs/${encodeURIComponent(job.id)}/${move}`, body);
    if (move === "retry") {
      told.set(job.id, { done: "Queued again", can_retry: false });
      say(job, "queued again");
    } else {
      told.delete(job.id);
      state.setJob(answer, since);
    }
  } catch (error) {
    told.set(job.id, refusal(move, error));
    say(job, `${told.get(job.id).refusal} ${told.get(job.id).refusal_remedy}`);
  }
  draw();
}

function refusal(move, error) {
  const known = error instanceof ApiError;
  if (!known) console.error(error);
  return {
    refusal: `Not ${BECOMES[move]}: ${known ? error.message : "the server does not answer."}`,
    refusal_remedy: known ? error.remedy : "",
  };
}

function confirmed(job, then) {
  const dialog = byId("cancel");
  fill(dialog, { project: job.project, kind: job.kind, at: percent(job.percent) });
  dialog.returnValue = ""; // in some browsers Escape keeps the last one
  dialog.onclose = () => dialog.returnValue === "cancel" && then();
  dialog.showModal();
}
