// Puts view values into marked elements. Everything shown may be hostile (names, paths, file contents): it enters the
// page as text or as a known attribute, never as HTML.

import { hour, moment } from "./format.js";

export function byId(id) {
  return document.getElementById(id);
}

/** A filled-in copy of what a <template> holds. */
export function made(templateId, view) {
  const element = byId(templateId).content.firstElementChild.cloneNode(true);
  fill(element, view);
  return element;
}

/** Writes only what changed, so that selections and screen readers are not disturbed. */
export function fill(root, view) {
  for (const element of [root, ...root.querySelectorAll("*")]) fillOne(element, element.dataset, view);
}

function fillOne(element, marks, view) {
  if ("text" in marks) set(element, "textContent", view[marks.text] ?? "");
  if ("value" in marks) set(element, "value", view[marks.value]);
  if ("show" in marks) set(element, "hidden", !view[marks.show]);
  if ("hide" in marks) set(element, "hidden", Boolean(view[marks.hide]));
  if ("toneOf" in marks) marks.tone = view[marks.toneOf];
  if ("jobOf" in marks) marks.job = view[marks.jobOf];
  // not `disabled`: that takes the focus away
  if ("off" in marks) set(element, "ariaDisabled", view[marks.off] ? "true" : null);
  if ("labelOf" in marks) set(element, "ariaLabel", view[marks.labelOf]);
  if ("time" in marks) setTime(element, view[marks.time]);
}

function set(element, property, value) {
  if (element[property] !== value) element[property] = value;
}

function setTime(element, timestamp) {
  set(element, "dateTime", timestamp ?? "");
  const shown = "hour" in element.dataset ? hour : moment;
  set(element, "textContent", timestamp ? shown(timestamp) : "");
  set(element, "title", timestamp ?? "");
}

/** The server wrote its own times: show the reader's. */
export function localTimes() {
  for (const element of document.querySelectorAll("time[datetime]")) setTime(element, element.dateTime);
}

/** Makes the children of `parent` those of `wanted` ({id, view}), in that order; known ones stay the same element. */
export function keep(parent, templateId, wanted) {
  const known = new Map([...parent.children].map((child) => [child.dataset.id, child]));
  let place = parent.firstElementChild;
  for (const view of wanted) {
    let element = known.get(view.id);
    if (element) {
      known.delete(view.id);
      fill(element, view);
    } else {
      element = made(templateId, view);
      element.dataset.id = view.id;
    }
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const element of known.values()) element.remove();
}

/** A change that hides or moves what has the focus takes it away: then the row or card around it has it. */
export function keepFocus(change) {
  const focused = document.activeElement;
  const home = focused?.closest("[data-id]");
  change();
  if (!home?.isConnected) return;
  // not a neighbour, lest a key that is held down presses that too
  if (focused.closest("[hidden]")) home.focus({ preventScroll: true });
  else if (document.activeElement !== focused) focused.focus({ preventScroll: true });
}
