// The desk: a card is scanned, and what may be done with it is one key away.
import { $, ask, clock, el, may, now, ofToday, refuse, session, spaced, sure, timeOf, told } from "./common.js";
import { t } from "./words.js";

const REFRESH_MS = 4000;
const UID = /^([0-9A-F]{8}|[0-9A-F]{14}|[0-9A-F]{20})$/;
let timer = null;
let current = null; // the card on the table, as the office shows it
let way = "booking";
let isBusy = false;

export function begin() { current = null; clear(); }
export function shown(isShown) {
  clearInterval(timer);
  if (!isShown) return;
  lists();
  timer = setInterval(lists, REFRESH_MS);
  $("uid").focus();
}
export function translated() { if (session !== null && may("desk")) { draw(); lists(); } }

function clear() {
  $("done").replaceChildren();
  $("refused").replaceChildren();
  $("card").hidden = true;
}
function ready() { $("uid").value = ""; $("uid").focus(); }
const label = (cls) => el("span", { class: `chip ${cls}` }, t(cls));
const span = (visit) => (visit.until == null ? t("untimed") : `${clock(visit.from)}–${clock(visit.until)}`);

/** Does an act once at a time: a reader or a finger may send Enter twice. */
async function once(act) {
  if (isBusy) return;
  isBusy = true;
  try { await act(); } catch (error) { refuse($("refused"), error); } finally { isBusy = false; }
}

// A card is looked up

async function look(text) {
  clear();
  current = null;
  $("uid").value = text;
  $("uid").select();
  current = await ask("GET", `/v1/cards/${encodeURIComponent(text.replace(/\s/g, "")) || "-"}`);
  draw();
  ready();
  const first = $("card").querySelector("[data-first]");
  if (first) first.focus();
}

function draw() {
  const place = $("card");
  place.hidden = current === null;
  if (current === null) return;
  const state = current.visit && current.blocked ? "blocked" : current.state;
  const dot = { free: "good", issued: "warn", lost: "bad", blocked: "bad" }[state];
  const head = el("div", { class: "card-head" },
    el("h2", { id: "card-title", class: "uid" }, spaced(current.card)), el("span", { class: `chip ${dot}` }, t(state)));
  if (current.visit) head.append(label(current.visit.class));
  place.replaceChildren(head, ...(current.visit ? ofVisit() : current.state === "lost" ? ofLost() : [toIssue()]));
}

const line = (name, ...value) => [el("dt", {}, t(name)), el("dd", {}, ...value)];
const kept = (deposit) => `${deposit.number}: ${deposit.document}${deposit.place ? ` · ${deposit.place}` : ""}`;

function ofVisit() {
  const { visit, deposit } = current;
  const rows = [...line("window", span(visit))];
  if (visit.booking) rows.push(...line("booking", visit.booking));
  if (visit.party) rows.push(...line("party", String(visit.party)));
  rows.push(...line("position", t(visit.position)));
  if (deposit) rows.push(...line("deposit", kept(deposit)));
  const acts = el("div", { class: "acts" },
    el("button", { type: "button", class: "primary", "data-first": true, onclick: () => act("return") }, t("take_back")),
    el("button", { type: "button", class: "danger", onclick: () => act("lost", ["ask_lost", "report_lost"]) }, t("report_lost")));
  if (!current.blocked) {
    acts.append(el("button", { type: "button", class: "danger", onclick: () => act("revoke", ["ask_revoke", "revoke"]) }, t("revoke")));
  }
  const where = el("select", { id: "where" }, ...["inside", "outside", "unknown"].map((name) => el("option", { value: name }, t(name))));
  where.value = visit.position;
  const place = el("form", { class: "row correct", onsubmit: (event) => { event.preventDefault(); act("position", null, { position: where.value }); } },
    el("label", { class: "inline", for: "where" }, t("position")), where, el("button", {}, t("correct")));
  return [el("dl", {}, ...rows), acts, el("details", {}, el("summary", {}, t("correct")), place)];
}

function ofLost() {
  const { deposit } = current;
  const acts = el("div", { class: "acts" });
  if (deposit) {
    acts.append(el("button", { type: "button", class: "primary", "data-first": true, onclick: () => closeDeposit(deposit.number) }, t("close_deposit")));
  }
  if (may("supervisor")) acts.append(el("button", { type: "button", onclick: () => act("restore") }, t("restore")));
  return [...(deposit ? [el("dl", {}, ...line("deposit", kept(deposit)))] : []), acts];
}

// A card is handed out

function field(id, key, attributes = {}, hint = null, input = "input") {
  const made = el(input, { id, spellcheck: "false", autocomplete: "off", "aria-describedby": hint ? `${id}-hint` : null, ...attributes });
  return el("div", {}, el("label", { for: id }, t(key)), made, hint ? el("p", { class: "hint", id: `${id}-hint` }, t(hint)) : null);
}

function toIssue() {
  const ways = [["booking", "with_booking"], ["class", "without_booking"], ["companion", "companion"]];
  const choice = el("fieldset", { class: "choice" }, el("legend", {}, t("give_to")),
    ...ways.map(([name, key]) => el("label", {},
      el("input", { type: "radio", name: "way", value: name, checked: name === way, onchange: () => { way = name; draw(); $("card").querySelector(`[name=way][value=${name}]`).focus(); } }), t(key))));
  const fields = el("div", { class: "fields" });
  const form = el("form", { id: "issue", onsubmit: issue }, choice, fields);
  if (way === "booking") {
    fields.append(field("booking", "booking", { required: true, maxlength: 32, "data-first": true, autocapitalize: "characters" }));
  } else if (way === "class") {
    const names = session.classes.filter((cls) => !cls.companion).map((cls) => cls.name);
    const cls = field("class", "class", { "data-first": true }, null, "select");
    cls.querySelector("select").append(...names.map((name) => el("option", { value: name }, t(name))));
    fields.append(cls, field("from", "from", { type: "time" }, "now"), field("until", "until", { type: "time", required: true, value: timeOf(now() + 7200 - (now() % 300)) }));
    const exempt = () => {
      const isExempt = session.classes.find((of) => of.name === cls.querySelector("select").value)?.exempt;
      for (const name of ["from", "until"]) form.querySelector(`#${name}`).disabled = isExempt;
    };
    cls.addEventListener("change", exempt);
  } else {
    const host = field("host", "principal", { required: true, maxlength: 40, class: "uid", "data-first": true, autocapitalize: "characters" }, "principal_hint");
    // A reader ends with Enter: on to the next field.
    host.addEventListener("keydown", (event) => {
      if (event.key === "Enter") { event.preventDefault(); form.querySelector("#document").focus(); }
    });
    const names = session.classes.filter((of) => of.companion).map((of) => of.name);
    if (names.length > 1) {
      const cls = field("class", "class", {}, null, "select");
      cls.querySelector("select").append(...names.map((name) => el("option", { value: name }, t(name))));
      fields.append(host, cls);
    } else fields.append(host);
    const document = field("document", "document", {}, null, "select");
    document.querySelector("select").append(...["KTP", "SIM", "Paspor", "KITAS", "KIA"].map((name) => el("option", {}, name)));
    fields.append(document, field("identity", "identity", { required: true, maxlength: 64 }, "identity_hint"), field("place", "place", { maxlength: 32 }));
  }
  form.append(el("label", { class: "inline slow" }, el("input", { type: "checkbox", id: "slow", class: "check" }), t("slow")),
    el("button", { class: "primary" }, t("issue")));
  return form;
}

function issue(event) {
  event.preventDefault();
  const value = (id) => $(id)?.value.trim() ?? "";
  const body = { slow: $("slow").checked };
  if (way === "booking") body.booking = value("booking").toUpperCase();
  else if (way === "class") {
    body.class = value("class");
    if (value("from") && !$("from").disabled) body.from = ofToday(value("from"));
    if (!$("until").disabled) body.until = ofToday(value("until"));
  } else {
    const names = session.classes.filter((of) => of.companion).map((of) => of.name);
    Object.assign(body, { class: value("class") || names[0], companion_of: value("host").replace(/\s/g, ""), identity: value("identity"), document: value("document") });
    if (value("place")) body.place = value("place");
  }
  if (body.booking && UID.test(body.booking)) issueOrLook(body);
  else act("issue", null, body);
}

/** A card that is held to the reader while a booking is asked for is the next card, not a code. */
async function issueOrLook(body) {
  const found = await ask("GET", `/v1/cards/${body.booking}`).catch(() => null);
  if (found) once(() => look(body.booking));
  else act("issue", null, body);
}

// Acts

function act(name, question = null, body = undefined) {
  return once(async () => {
    const { card } = current;
    if (question && !(await sure(t(question[0], spaced(card)), t(`${question[0]}_text`), t(question[1])))) return;
    $("refused").replaceChildren();
    const said = await ask("POST", `/v1/cards/${card}/${name}`, body);
    tell(said);
  });
}
function closeDeposit(number) {
  return once(async () => tell(await ask("POST", `/v1/deposits/${number}/close`)));
}

function tell(said) {
  const parts = [];
  const what = [said.card ? el("span", { class: "uid" }, spaced(said.card)) : ""];
  if (said.act === "issue") what.push(` · ${t(said.class)} · ${span(said)}`, said.party ? ` · ${t("party")} ${said.party}` : "");
  const deposit = said.deposit;
  if (deposit) {
    const words = deposit.state === "held" ? "keep" : "give_back";
    parts.push(told("note", `${t(words)}: ${deposit.document}`, `${t("deposit")} ${deposit.number}${deposit.place ? ` · ${deposit.place}` : ""}`));
  }
  for (const alarm of said.alarms) parts.push(told("refused", t("ev_alarm"), el("span", { lang: "en" }, alarm)));
  for (const note of said.notes) parts.push(told("note", "!", el("span", { lang: "en" }, note)));
  current = null;
  clear();
  draw();
  $("done").replaceChildren(told("ok", t(`done_${said.act}`), ...what), ...parts);
  way = "booking";
  ready();
  lists();
}

// What is out

async function pages(path, name, limit = 500) {
  const found = [];
  for (let after = ""; after !== null;) {
    const page = await ask("GET", `${path}?limit=${limit}${after === "" ? "" : `&after=${after}`}`);
    found.push(...page[name]);
    after = page.next;
  }
  return found;
}

function fill(id, rows, make) {
  const isSame = JSON.stringify([document.documentElement.lang, rows]);
  $(`${id}-count`).textContent = `(${rows.length})`;
  if ($(id).dataset.rows === isSame) return;
  $(id).dataset.rows = isSame;
  $(id).replaceChildren(...(rows.length ? rows.map(make) : [el("li", { class: "quiet" }, t("nothing"))]));
}

async function lists() {
  try {
    const [visits, deposits] = await Promise.all([pages("/v1/visits", "visits"), pages("/v1/deposits", "deposits")]);
    fill("out", visits.reverse(), (visit) => el("li", {}, el("button", { type: "button", onclick: () => pick(visit.card) },
      el("span", { class: "line" }, el("span", { class: "uid" }, spaced(visit.card)), label(visit.class)),
      el("span", { class: "quiet" }, [span(visit), visit.booking, visit.blocked ? t("blocked") : t(visit.position)].filter(Boolean).join(" · ")))));
    fill("kept", deposits, (deposit) => el("li", {}, el("button", { type: "button", onclick: () => pick(deposit.card) },
      el("span", { class: "line" }, `${deposit.number}: ${deposit.document}`, el("span", { class: "quiet" }, deposit.place)))));
  } catch (error) {
    if (session !== null) refuse($("refused"), error);
  }
}
const pick = (card) => once(() => look(card));

$("scan").addEventListener("submit", (event) => { event.preventDefault(); once(() => look($("uid").value)); });
// What a reader types while a button has the focus is a card, and its Enter must not press that button.
addEventListener("keydown", (event) => {
  if ($("desk").hidden || $("ask").open || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape") { clear(); current = null; draw(); ready(); return; }
  const isTyping = event.target.matches?.("input:not([type=radio]):not([type=checkbox]), select");
  if (!isTyping && /^[0-9a-fA-F]$/.test(event.key)) { $("uid").value = ""; $("uid").focus(); }
});
