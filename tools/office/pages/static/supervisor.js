// The supervisor: gates, who is inside, events as they come, alarms, the report of a day, the audit trail.
import { $, Refused, ask, clock, el, may, now, refuse, session, spaced, sure, today } from "./common.js";
import { code, t } from "./words.js";

const REFRESH_MS = 3000;
const ROWS = 200;
const HOUR = 3600;
const KINDS = {
  all: [], grants: ["grant"], passages: ["passage", "late_passage"], denials: ["deny"], alarms: ["alarm", "alarm_end"],
};
let timer = null;
let stream = null;
let gates = new Map();
let alarms = []; // of gates and of the office, the newest first
let lastAlarm = 0;
let firstAct = null; // the acts that are shown, from
let lastAct = null; // ... to

export function begin() {
  for (const id of ["events", "alarms", "gates", "audit"]) $(id).replaceChildren();
  gates = new Map();
  alarms = [];
  lastAlarm = 0;
  firstAct = lastAct = null;
  $("report").hidden = $("report-link").hidden = true;
  $("day").value = $("day").max = today();
  kinds();
}

export function shown(isShown) {
  clearInterval(timer);
  stream?.close();
  stream = null;
  if (!isShown) return;
  refresh();
  timer = setInterval(refresh, REFRESH_MS);
  if (may("desk")) events();
  if (may("supervisor") && firstAct === null) audit();
}

export function translated() {
  if (session === null) return;
  kinds();
  $("gates").replaceChildren();
  gates = new Map();
  if (!$("supervisor").hidden) { $("audit").replaceChildren(); firstAct = lastAct = null; shown(true); }
}

function kinds() {
  const chosen = $("kind").value || "all";
  $("kind").replaceChildren(...Object.keys(KINDS).map((name) => el("option", { value: name }, t(name))));
  $("kind").value = chosen;
}

async function refresh() {
  try {
    await Promise.all([gatesNow(), ...(may("desk") ? [inside(), officeAlarms()] : []), ...(lastAct !== null ? [newActs()] : [])]);
    $("watch-refused").replaceChildren();
  } catch (error) {
    if (session !== null) refuse($("watch-refused"), error);
  }
}

async function inside() {
  const { occupancy } = await ask("GET", "/v1/inside");
  $("occupancy").textContent = occupancy;
  let count = 0;
  for (let after = 0; after !== null;) {
    const page = await ask("GET", `/v1/visits?limit=500&after=${after}`);
    count += page.visits.length;
    after = page.next;
  }
  $("handed").textContent = count;
}

// Gates

async function gatesNow() {
  const found = (await ask("GET", "/v1/gates")).gates;
  for (const gate of found) {
    if (!gates.has(gate.gate)) {
      gates.set(gate.gate, made(gate.gate));
      $("gates").append(gates.get(gate.gate).root);
    }
    update(gates.get(gate.gate), gate);
  }
  const known = found.filter((gate) => gate.online != null);
  $("online").textContent = known.length ? `${known.filter((gate) => gate.online).length}/${found.length}` : `–/${found.length}`;
}

function made(name) {
  const state = el("span", { class: "chip" });
  const rows = el("dl", {});
  const orders = el("ul", { class: "orders", "aria-live": "polite" });
  const root = el("article", { class: "gate", "aria-labelledby": `gate-${name}` },
    el("div", { class: "card-head" }, el("h3", { id: `gate-${name}` }, `${t("gate")} ${name}`), state), rows);
  if (may("supervisor")) root.append(commands(name, orders), orders);
  return { root, state, rows };
}

function update(card, gate) {
  const [dot, word] = gate.online == null ? ["", "not_served"] : gate.online ? ["good", "online"] : ["bad", "offline"];
  card.state.className = `chip ${dot}`;
  card.state.textContent = t(word);
  const rows = [[t("list"), gate.behind > 0 ? t("behind", gate.behind) : t("up_to_date")]];
  if (gate.heard != null) rows.push([t("heard"), t("ago", Math.max(0, Math.round(now() - gate.heard)))]);
  if (gate.undelivered != null) rows.push([t("undelivered"), String(gate.undelivered)]);
  const report = gate.report;
  if (report) {
    rows.push([t("mode"), modeName(report.mode)]);
    if (report.occupancy != null) rows.push([t("occupancy"), String(report.occupancy)]);
    if (report.fault) rows.push([t("fault"), report.fault]);
    if (report.alarms?.length) rows.push([t("alarms"), report.alarms.map((alarm) => t(`r_${alarm}`)).join(", ")]);
  }
  card.rows.replaceChildren(...rows.flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, value)]));
}
const modeName = (mode) => (mode === "free" ? t("mode_free") : t(mode ?? "unknown"));

function commands(gate, orders) {
  const mode = el("select", { id: `mode-${gate}` }, ...session.modes.map((name) => el("option", { value: name }, modeName(name))));
  const alarm = el("select", { id: `alarm-${gate}` },
    ...Object.keys(session.alarm_words).map((name) => el("option", { value: name }, t(`r_${name}`))));
  const button = (key, command, argument = "") => el("button", { type: "button", onclick: () => order(gate, orders, command, argument, t(key)) }, t(key));
  const form = (of, select, command, key) => el("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    order(gate, orders, command, select.value, `${t(of)}: ${select.selectedOptions[0].textContent}`);
  } }, el("label", { for: select.id }, t(of), select), el("button", {}, t(key)));
  return el("details", {}, el("summary", {}, t("commands")),
    form("mode", mode, "mode", "set"), form("acknowledge", alarm, "acknowledge", "set"),
    el("div", { class: "row" }, button("open_in", "open", "in"), button("open_out", "open", "out"), button("identify", "identify"), button("reboot", "reboot")));
}

async function order(gate, orders, command, argument, words) {
  const isHarmless = command === "identify" || command === "acknowledge";
  if (!isHarmless && !(await sure(t("ask_command", gate, words), t("ask_command_text"), words))) return;
  const state = el("span", { class: "quiet" }, ` ${t("sent")}`);
  const item = el("li", {}, words, " – ", state);
  orders.prepend(item);
  while (orders.children.length > 5) orders.lastChild.remove();
  try {
    const { nonce } = await ask("POST", `/v1/gates/${encodeURIComponent(gate)}/commands`, { command, argument });
    for (let tries = 0; tries < 20 && item.isConnected; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 1500));
      if (session === null) return;
      if ((await ask("GET", `/v1/commands/${nonce}`)).done) { state.textContent = ` ${t("arrived")}`; return; }
    }
    state.textContent = ` ${t("waiting")}`;
  } catch (error) {
    refuse(item, error);
  }
}

// Events

async function events() {
  const kind = $("kind").value || "all";
  const query = KINDS[kind].map((name) => `&type=${name}`).join("");
  try {
    const [page, before] = await Promise.all([ask("GET", `/v1/events?limit=100${query}`), ask("GET", `/v1/events?limit=100&type=alarm&from=${Math.floor(now()) - 24 * HOUR}`)]);
    if (session === null || $("supervisor").hidden) return;
    $("events").replaceChildren(...page.events.map((event) => row(event)));
    alarms = alarms.filter((alarm) => alarm.isOffice);
    before.events.forEach(ofGate);
    drawAlarms();
    follow(page.last);
  } catch (error) {
    if (session !== null) refuse($("watch-refused"), error);
  }
}

function follow(after) {
  stream?.close();
  stream = new EventSource(`/v1/events/stream?after=${after}`);
  const of = stream;
  const say = (isOn) => { $("live").textContent = t(isOn ? "live" : "reconnecting"); $("live").classList.toggle("on", isOn); };
  say(false);
  stream.onopen = () => say(true);
  stream.onerror = () => {
    say(false);
    // The browser goes on by itself unless the office said no, such as after books were put back.
    if (of.readyState === EventSource.CLOSED && of === stream) setTimeout(() => { if (of === stream) events(); }, REFRESH_MS);
  };
  stream.onmessage = (message) => {
    const event = JSON.parse(message.data);
    if (event.type === "alarm") { ofGate(event); drawAlarms(); }
    const chosen = KINDS[$("kind").value] ?? [];
    if (chosen.length && !chosen.includes(event.type)) return;
    $("events").prepend(row(event, true));
    while ($("events").children.length > ROWS) $("events").lastChild.remove();
  };
}

function row(event, isNew = false) {
  const direction = { in: t("in"), out: t("dir_out") }[event.direction] ?? "";
  const reason = event.reason && event.reason !== "ok" ? (event.type === "mode" ? modeName(event.reason) : t(`r_${event.reason}`)) : "";
  const what = [t(`ev_${event.type}`), direction, reason].filter(Boolean).join(" · ");
  return el("tr", { class: `${event.type}${isNew ? " new" : ""}` },
    el("td", { class: "time" }, clock(event.time, true)), el("td", {}, event.gate), el("td", {}, what),
    el("td", { class: "uid" }, event.card ? spaced(event.card) : ""));
}

// Alarms

function ofGate(event) {
  alarms.push({ time: event.time, gate: event.gate, words: `r_${event.reason}`, text: event.card ? spaced(event.card) : "", isOffice: false });
}

async function officeAlarms() {
  let isNew = false;
  for (let after = lastAlarm; after !== null;) {
    const page = await ask("GET", `/v1/alarms?limit=500&after=${after}`);
    for (const alarm of page.alarms) {
      lastAlarm = alarm.id;
      isNew = true;
      alarms.push({ time: alarm.since, gate: alarm.gate, words: `r_${alarm.kind}`, text: alarm.text, isOffice: true });
    }
    after = page.next;
  }
  if (isNew) drawAlarms();
  const recent = alarms.filter((alarm) => alarm.time > now() - HOUR).length;
  $("alarm-count").textContent = recent;
  $("alarm-figure").classList.toggle("alert", recent > 0);
}

function drawAlarms() {
  alarms.sort((a, b) => b.time - a.time);
  alarms.length = Math.min(alarms.length, ROWS);
  const place = (alarm) => (alarm.gate === "desk" ? t("desk") : `${t("gate")} ${alarm.gate}`);
  $("alarms").replaceChildren(...(alarms.length ? alarms.map((alarm) => el("li", {},
    el("span", { class: "line" }, el("b", {}, t(alarm.words)), el("span", { class: "quiet" }, `${place(alarm)} · ${clock(alarm.time)}`)),
    el("span", { class: "quiet", lang: alarm.isOffice ? "en" : null }, alarm.text))) : [el("li", { class: "quiet" }, t("nothing"))]));
}

// The report, the audit trail

async function report(event) {
  event.preventDefault();
  const path = `/report?day=${encodeURIComponent($("day").value)}&lang=${code()}`;
  $("report-refused").replaceChildren();
  $("report").hidden = $("report-link").hidden = true;
  const answer = await fetch(path).catch(() => null);
  if (!answer?.ok) {
    const value = await answer?.json().catch(() => null);
    refuse($("report-refused"), new Refused(answer?.status ?? 0, value?.detail ?? t("unreachable"), !value));
    return;
  }
  $("report").src = $("report-link").href = path;
  $("report").hidden = $("report-link").hidden = false;
}

const PAGE = 50;
async function audit() {
  try {
    const end = firstAct ?? (await ask("GET", "/v1/health")).acts + 1;
    const begin = Math.max(end - 1 - PAGE, 0);
    lastAct ??= end - 1;
    if (end <= 1) { $("audit-more").hidden = true; return; }
    const { acts } = await ask("GET", `/v1/audit?after=${begin}&limit=${end - 1 - begin}`);
    firstAct = begin + 1;
    $("audit-more").hidden = firstAct <= 1;
    $("audit").append(...acts.reverse().map(actRow));
  } catch (error) {
    if (session !== null) refuse($("watch-refused"), error);
  }
}
async function newActs() {
  const { acts } = await ask("GET", `/v1/audit?after=${lastAct}&limit=500`);
  const fresh = acts.filter((act) => act.seq > lastAct);
  if (!fresh.length) return;
  lastAct = fresh.at(-1).seq;
  $("audit").prepend(...fresh.reverse().map(actRow));
}
function actRow(act) {
  return el("tr", {}, el("td", {}, String(act.seq)), el("td", { class: "time" }, clock(act.time, true)),
    el("td", {}, act.actor), el("td", {}, act.act), el("td", {}, about(act.details)));
}

// What an act was about: the rows that it left in the books, table by table, and what it has to say beside them.
const SUBJECTS = {
  cards: (uid) => `${t("card")} ${spaced(uid)}`,
  visits: (id, { cls }) => `${t("visit")} ${id} (${t(cls)})`,
  bookings: (code) => `${t("booking")} ${code}`,
  deposits: (id, { document, visit }) => `${t("deposit")} ${id}: ${document} (${t("visit")} ${visit})`,
  gates: (name) => `${t("gate")} ${name}`,
  commands: (_, { gate, name, argument }) => `${t("gate")} ${gate}: ${commandName(name, argument)}`,
};
const BESIDE = {
  position: ([uid, where]) => `${t("card")} ${spaced(uid)}: ${t(where)}`,
  release: (words) => words.join(" "),
  alarms: (found) => found.map(([kind, text]) => `${t(`r_${kind}`)}: ${text}`).join(", "),
};
const SHOWN = 3; // rows of a table that are named; of more only the number is said
function about(details) {
  try {
    return subjects(details);
  } catch {
    return JSON.stringify(details); // somebody changed the row: pinter office verify
  }
}
function subjects({ rows, ...beside }) {
  const words = [];
  for (const [table, of] of Object.entries(SUBJECTS)) {
    const found = Object.entries(rows?.[table] ?? {});
    if (found.length > SHOWN) words.push(t(`many_${table}`, found.length));
    else words.push(...found.map(([key, image]) => of(key, image)));
    if (table === "visits") words.push(...new Set(found.filter(([, { booking }]) => booking).map(([, { booking }]) => SUBJECTS.bookings(booking))));
  }
  for (const [name, value] of Object.entries(beside)) words.push(BESIDE[name]?.(value) ?? `${name}: ${JSON.stringify(value)}`);
  return [...new Set(words)].join(" · ");
}
function commandName(name, argument) {
  if (name === "mode") return `${t("mode")} ${modeName(argument)}`;
  if (name === "acknowledge") return `${t("acknowledge")}: ${t(`r_${argument}`)}`;
  return t(argument ? `${name}_${argument}` : name);
}

$("kind").addEventListener("change", events);
$("report-form").addEventListener("submit", report);
$("audit-more").addEventListener("click", audit);
