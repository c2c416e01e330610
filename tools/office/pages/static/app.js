// The session, the language, and the way between the pages.
import { $, Refused, ask, become, clock, may, now, refuse, session } from "./common.js";
import { code, learn, t, toggle, translate } from "./words.js";
import * as desk from "./desk.js";
import * as supervisor from "./supervisor.js";

function show() {
  const path = location.pathname;
  let page = "login";
  if (session !== null) page = path === "/supervisor" || !may("desk") ? "supervisor" : "desk";
  for (const name of ["login", "desk", "supervisor"]) $(name).hidden = name !== page;
  if (session !== null && path !== `/${page}`) history.replaceState(null, "", `/${page}`);
  document.title = `${t(page)} – PINTER`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `/${page}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const part of document.querySelectorAll("[data-role]")) part.hidden = !may(part.dataset.role);
  $("nav").hidden = $("leave").hidden = session === null;
  $("site").textContent = session === null ? "" : session.site;
  $("language").textContent = code() === "id" ? "English" : "Bahasa Indonesia";
  $("language").lang = code() === "id" ? "en" : "id";
  desk.shown(page === "desk");
  supervisor.shown(page === "supervisor");
  if (page === "login") $("token").focus();
}

function begin(value) {
  become(value);
  learn(value.words);
  desk.begin();
  supervisor.begin();
  show();
}

/** Ends what is shown of the session: nobody is logged in any more. */
function end() {
  become(null);
  sessionStorage.removeItem("pinter-actor");
  show();
  $("login-refused").replaceChildren();
}

async function login(event) {
  event.preventDefault();
  const actor = $("actor").value.trim();
  const place = $("login-refused");
  place.replaceChildren();
  if (/[^ -~]/.test(actor)) { refuse(place, new Refused(422, t("actor_ascii"), true)); return; }
  try {
    const value = await ask("POST", "/session", { token: $("token").value.trim() });
    if (actor) sessionStorage.setItem("pinter-actor", actor);
    $("token").value = "";
    begin(value);
  } catch (error) {
    refuse(place, error);
    $("token").select();
  }
}

async function leave() {
  try { await ask("DELETE", "/session"); } catch (error) { if (error.status === 0) throw error; }
  end();
}

function tick() {
  if (session !== null) $("clock").textContent = clock(now());
}

$("login-form").addEventListener("submit", login);
$("leave").addEventListener("click", leave);
addEventListener("session-over", () => { end(); refuse($("login-refused"), new Refused(401, t("session_over"), true)); });
$("language").addEventListener("click", () => { toggle(); show(); desk.translated(); supervisor.translated(); });
for (const link of document.querySelectorAll("nav a")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    history.pushState(null, "", link.getAttribute("href"));
    show();
  });
}
addEventListener("popstate", show);
setInterval(tick, 1000);
translate();
ask("GET", "/session").then(begin, show).then(tick);
