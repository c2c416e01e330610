// What all pages use: who is logged in, elements, times of the site, the way to the office.
import { code, t } from "./words.js";

const ROLES = ["monitor", "desk", "supervisor"];
export const $ = (id) => document.getElementById(id);
export let session = null;
let skew = 0;

export function become(value) {
  session = value;
  if (value !== null) skew = value.time - Date.now() / 1000;
}

/** A refusal: `message` is one line in the office's own words, `isOurs` where the words are the page's. */
export class Refused extends Error {
  constructor(status, detail, isOurs = false) { super(detail); this.status = status; this.isOurs = isOurs; }
}

/** Makes an element: el("p", {class: "hint"}, "text", child, ...). */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export const may = (role) => session !== null && ROLES.indexOf(session.role) >= ROLES.indexOf(role);
/** Unix seconds by the office's clock. */
export const now = () => Date.now() / 1000 + skew;

function local(unix) { return new Date((unix + session.utc_offset_min * 60) * 1000); }
const two = (number) => String(number).padStart(2, "0");
/** The time of the site, 08.30 or 08:30; with the date if it is of another day. */
export function clock(unix, seconds = false) {
  const at = local(unix), today = local(now());
  const mark = code() === "id" ? "." : ":";
  let text = [at.getUTCHours(), at.getUTCMinutes(), ...(seconds ? [at.getUTCSeconds()] : [])].map(two).join(mark);
  if (at.toISOString().slice(0, 10) !== today.toISOString().slice(0, 10)) text = `${at.toISOString().slice(0, 10)} ${text}`;
  return text;
}
export const today = () => local(now()).toISOString().slice(0, 10);
/** Unix seconds of HH:MM of the site's today. */
export function ofToday(text) {
  return Date.parse(`${today()}T${text}:00Z`) / 1000 - session.utc_offset_min * 60;
}
export function timeOf(unix) { const at = local(unix); return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`; }
export const spaced = (uid) => uid.replace(/(..)(?=.)/g, "$1 ");

/** Asks the office; returns the JSON of its answer. Throws Refused. */
export async function ask(method, path, body) {
  const headers = { "Pinter-Page": "1" };
  const actor = sessionStorage.getItem("pinter-actor");
  if (actor && path.startsWith("/v1/")) headers["Pinter-Actor"] = actor;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused(0, t("unreachable"), true);
  }
  const value = await answer.json().catch(() => ({}));
  if (answer.ok) return value;
  if (answer.status === 401 && session !== null) { dispatchEvent(new Event("session-over")); throw new Refused(401, t("session_over"), true); }
  throw new Refused(answer.status, value.detail ?? `${answer.status}`);
}

/** Shows what the office said no to, in its own words. */
export function refuse(place, error) {
  if (!(error instanceof Refused)) { place.replaceChildren(told("refused", t("refused"), String(error))); throw error; }
  const words = el("span", error.isOurs ? {} : { lang: "en" }, error.message);
  place.replaceChildren(told("refused", t("refused"), words));
}
export function told(kind, title, ...words) {
  return el("div", { class: `told ${kind}` }, el("b", {}, title), ...words);
}

/** Asks whether to go on; resolves to true or false. */
export function sure(title, text, yes) {
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  $("ask-yes").textContent = yes;
  const dialog = $("ask");
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

