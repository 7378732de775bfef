// Numbers and times as text. The same rules as views.py.

const grouped = new Intl.NumberFormat("en-US");
const when = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

const hours = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

export const DASH = "–";

export function number(value) {
  return grouped.format(value);
}

export function count(value, noun) {
  return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
}

export function percent(value) {
  return `${Number(value.toFixed(1))}%`;
}

export function duration(seconds) {
  const whole = Math.max(0, Math.trunc(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3600);
  return hours ? `${hours} h ${minutes} min` : `${minutes} min`;
}

/** The reader's own time of an ISO timestamp. */
export function moment(timestamp) {
  return when.format(new Date(timestamp));
}

/** The same without the day. */
export function hour(timestamp) {
  return hours.format(new Date(timestamp));
}
