// Talks to the simulation and shows what it says. Owns no rules: every word about a decision comes from the firmware.
import { Drawing } from "./drawing.js";
import { ALARMS, REASONS, RECORDS, WORDS, values } from "./words.js";

const $ = (id) => document.getElementById(id);
const stored = (key, value) => { try { if (value === undefined) return localStorage.getItem(key); localStorage.setItem(key, value); } catch { /* no storage: no memory */ } return null; };
let language = stored("language") || (navigator.language.startsWith("id") ? "id" : "en");
const word = (key) => WORDS[language][key] ?? key;
const named = (table, key) => (table[key] ? table[key][language === "id" ? 0 : 1] : key);
const text = (node, value) => { if (node.textContent !== value) node.textContent = value; };
const clock = (local) => (local ? local.slice(11, 19) : "");
const element = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

let state = null, decision = null, latency = null, chosen = null, journal = [], world = null, result = null, traced = 0;
let socket = null, number = 0, retry = 500;
const waiting = new Map();

// -- talking --

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/talk`);
  socket.addEventListener("open", () => { retry = 500; $("banner").hidden = true; document.body.dataset.connected = "true"; });
  socket.addEventListener("message", (event) => heard(JSON.parse(event.data)));
  socket.addEventListener("close", () => {
    document.body.dataset.connected = "false";
    for (const answer of waiting.values()) answer({ type: "error", text: word("disconnected"), quiet: true });
    waiting.clear();
    banner(word("disconnected"));
    setTimeout(connect, retry);
    retry = Math.min(retry * 2, 8000);
  });
}

// Send a message; resolve with its answer. A refusal is shown.
function ask(message) {
  if (!socket || socket.readyState !== WebSocket.OPEN) return Promise.resolve({ type: "error" });
  const id = ++number;
  return new Promise((resolve) => {
    waiting.set(id, (answer) => {
      if (answer.type === "error" && !answer.quiet) toast(answer.text);
      resolve(answer);
    });
    socket.send(JSON.stringify({ ...message, id }));
  });
}

const HEARD = {
  hello: (message) => {
    const select = $("story");
    select.replaceChildren(...message.stories.map((name) => new Option(name.replace(/\.yaml$/, "").replaceAll("_", " "), name)));
    if (message.stories.includes("lane.yaml")) select.value = "lane.yaml";
    $("play").disabled = !message.stories.length; // an installed copy has none
  },
  done: answered, error: answered,
  world: (message) => {
    world = message; journal = []; decision = latency = result = null; follow = null;
    text($("result"), "");
    $("result").dataset.ok = "";
    showDecision(); showJournal();
  },
  state: (message) => { state = message; showState(); },
  decision: (message) => {
    decision = message; latency = null; showDecision();
    announce(`${word(message.kind)}: ${message.sentence[language]}`);
    sound(message.kind);
    if (follow && message.card === follow.card && message.direction === follow.direction) {
      const { card, direction } = follow;
      follow = null;
      if (message.kind === "grant") setTimeout(() => ask({ type: "walk", card, direction }), reduced.matches ? 0 : 450);
    }
  },
  latency: (message) => { latency = message; showLatency(); if ($("trace-details").open) loadTrace(); },
  event: (message) => {
    if (message.event === "journal" && (!state || message.gate === state.gate)) { journal.unshift(message.fields); journal.length = Math.min(journal.length, 40); showJournal(); }
    if (message.event === "blocked") { toast(word("blocked")); sound("deny"); }
  },
  result: (message) => { result = message; showResult(); },
  trouble: (message) => banner(word("trouble") + message.why),
};
function heard(message) { HEARD[message.type]?.(message); }
function answered(message) { const answer = waiting.get(message.id); waiting.delete(message.id); answer?.(message); }

// -- showing --

const reduced = matchMedia("(prefers-reduced-motion: reduce)");
function banner(words) { text($("banner"), words); $("banner").hidden = !words; }
function announce(words) { $("announce").textContent = words; }
let toasting = 0;
function toast(words) {
  $("toast").textContent = words;
  $("toast").classList.add("shown");
  clearTimeout(toasting);
  toasting = setTimeout(() => { $("toast").classList.remove("shown"); $("toast").textContent = ""; }, 4500);
}

function about(card) {
  const cls = card.class === "green" ? word("green_card") : card.class ? word(card.class) : card.copy_of ? `${word("copy")} ${card.copy_of}` : card.uid.startsWith("08") && card.uid.length === 8 ? word("phone") : word("stranger");
  const window_ = card.from ? `${card.from.slice(11, 16)}–${card.until.slice(11, 16)}` : card.class ? word("untimed") : "";
  const where = word(card.person === "inside" ? "inside_place" : "outside");
  const extra = card.reader ? `, ${word("at_reader")}` : card.card !== card.person ? `, ${word("card_elsewhere")}` : "";
  return { short: card.blocked ? word("revoked") : card.from ? window_ : cls, cls, window: window_, long: `${card.name}, ${cls}${window_ ? ", " + window_ : ""}${card.blocked ? ", " + word("revoked") : ""}, ${where}${extra}` };
}

const drawing = new Drawing($("hall"), { chosen: choose, dropped, entered: (name) => { choose(name); enter(name); } });
let castOf = "";

function showState() {
  const cast = state.cards.map((card) => card.name + card.class + card.uid).join();
  if (cast !== castOf) {
    castOf = cast;
    drawing.cast(state.cards);
    if (!state.cards.some((card) => card.name === chosen)) chosen = state.cards[0]?.name ?? null;
    drawing.choose(chosen);
  }
  drawing.show(state, { word, about });
  document.body.dataset.lane = state.lane ?? "";
  document.body.dataset.power = String(state.power);
  text($("clock-time"), clock(state.clock));
  text($("clock-date"), " " + state.clock.slice(0, 10));
  const lane = !state.power ? "lane_off" : !state.ready ? "lane_boot" : "lane_" + state.lane;
  text($("lane"), word(lane));
  $("lane").dataset.lane = lane;
  showPills(); showInside(); showFacts(); showWho(); showControls(); showResult(); showChain();
}

function pill(key, name, value, good) {
  let node = document.querySelector(`#pills [data-pill="${key}"]`);
  if (!node) { node = element("li", { "data-pill": key, class: "pill" }); $("pills").append(node); }
  text(node, `${name}: ${value}`);
  node.dataset.good = String(good);
}
function showPills() {
  pill("power", word("power"), word(state.power ? "on" : "off"), state.power);
  const link = state.network === null ? "alone" : !state.network ? "cut" : state.link === "" ? "connected" : "connecting";
  pill("network", word("online"), word(link), link === "connected" || link === "alone");
  pill("trusted", word("time_trust"), state.trusted === null || state.trusted === undefined ? "–" : word(state.trusted ? "trusted" : "untrusted"), Boolean(state.trusted));
}

function chips(list, items) {
  const wanted = items.map(({ key, label }) => `${key}\u0000${label}`).join("\u0001");
  if (list.dataset.items === wanted) return;
  list.dataset.items = wanted;
  list.replaceChildren(...items.map(({ key, label, cls }) => element("li", { "data-key": key, class: cls ?? "" }, label)));
}
function showInside() {
  const people = state.inside.map((name) => { const card = state.cards.find((one) => one.name === name); return { key: name, label: card ? `${name} ${about(card).cls}` : name, cls: card?.class ?? "" }; });
  chips($("inside"), people.length ? people : [{ key: "", label: word("nobody"), cls: "quiet" }]);
  text($("occupancy"), state.occupancy === null ? "" : state.occupancy_max === null || state.occupancy_max === undefined ? String(state.occupancy) : `${state.occupancy} / ${state.occupancy_max}`);
  chips($("alarms"), state.alarms.length ? state.alarms.map((kind) => ({ key: kind, label: named(ALARMS, kind), cls: "alarm" })) : [{ key: "", label: word("none"), cls: "quiet" }]);
}

function showFacts() {
  const on = (name) => (state.outputs[name] ? word("closed_relay") : word("off"));
  const rows = [
    [word("lane"), $("lane").textContent],
    [word("relays"), `${word("way_in")} ${on("relay_in")}, ${word("way_out")} ${on("relay_out")}`],
    [word("lamp"), word(state.outputs.lamp_green ? "green" : state.outputs.lamp_red ? "red" : "dark")],
    [word("buzzer"), word(state.outputs.buzzer ? "sounding" : "silent")],
    [word("display"), state.display.map((line) => line.trim()).filter(Boolean).join(" / ") || "–"],
    [word("mode"), state.mode ? word("mode_" + state.mode) : "–"],
    [word("list_seq"), state.list ? `#${state.list.seq}, ${state.list.count} ${word("cards")}, ${word("expires")} ${state.list.expires.replace("T", " ").slice(0, 16)}` : "–"],
    [word("gate_time"), state.time ? `${state.time.replace("T", " ")}${state.source ? `, ${word("source")} ${state.source}` : ""}` : "–"],
    [word("runtime"), state.runtime === "micropython" ? "MicroPython" : "CPython"],
    [word("resets"), String(state.resets)],
  ];
  const list = $("facts");
  if (list.children.length !== rows.length) list.replaceChildren(...rows.map(() => element("div", {}, element("dt"), element("dd"))));
  rows.forEach(([name, value], index) => { text(list.children[index].children[0], name); text(list.children[index].children[1], value); });
}

function showChain() {
  const found = state.journal;
  text($("chain"), !found ? "–" : found.chain ? word("chain_bad") : `${word("chain_ok")}${found.undelivered ? `, ${found.undelivered} ${word("undelivered")}` : ""}`);
  $("chain").dataset.good = String(Boolean(found) && !found.chain);
  $("chain").title = found?.chain ?? "";
}

function showWho() {
  const card = state.cards.find((one) => one.name === chosen);
  if (!card) { text($("who"), ""); return; }
  const words = about(card);
  text($("who"), `${card.name} · ${words.cls}${words.window ? " · " + words.window : ""}${card.party ? ` · ${word("party")} ${card.party}` : ""} · ${card.type} ${card.uid}`);
  text(document.querySelector('[data-act="hold"]'), word(card.reader ? "act_take" : "act_hold"));
}

function showControls() {
  for (const id of ["fire", "tamper"]) $(id).setAttribute("aria-pressed", String(state.inputs[id]));
  $("network").setAttribute("aria-pressed", String(Boolean(state.network)));
  const story = state.story !== null;
  $("power-cut").disabled = !state.power || story;
  $("power-on").disabled = $("power-lost").disabled = state.power || story;
  $("network").disabled = state.network === null || story;
  if (document.activeElement !== $("mode") && state.mode) $("mode").value = state.mode;
  if (document.activeElement !== $("speed")) {
    if (![...$("speed").options].some((option) => Number(option.value) === state.speed)) $("speed").add(new Option(String(state.speed)));
    $("speed").value = String(state.speed);
  }
  if (document.activeElement !== $("runtime")) $("runtime").value = state.runtime;
  $("gate-choice").hidden = state.gates.length < 2;
  if ($("gate").options.length !== state.gates.length) $("gate").replaceChildren(...state.gates.map((name) => new Option(name)));
  $("gate").value = state.gate;
  $("back").disabled = !story && !result;
}

function showResult() {
  const node = $("result");
  if (result) {
    node.dataset.ok = String(result.ok);
    text(node, result.ok ? `${result.story}: ${word("story_ok")}` : `${result.story}: ${word("story_bad")} ${result.problems.join("; ")}`);
    $("back").disabled = false;
  } else if (state?.story) { node.dataset.ok = ""; text(node, `${word("playing")}: ${state.story.title} (${word("step_of")} ${state.step}/${state.steps})`); }
  else text(node, "");
}

function showDecision() {
  const verdict = $("verdict");
  verdict.dataset.kind = decision?.kind ?? "none";
  $("decision").dataset.seq = decision?.seq ?? "";
  $("decision").dataset.reason = decision?.reason ?? "";
  text($("verdict-word"), decision ? word(decision.kind) : "–");
  const other = language === "id" ? "en" : "id";
  text($("sentence"), decision ? decision.sentence[language] : word("no_decision"));
  text($("sentence-other"), decision ? decision.sentence[other] : "");
  $("sentence-other").lang = other;
  text($("decision-when"), decision ? `${clock(decision.at)} · ${word("way_" + decision.direction)}${decision.card ? " · " + decision.card : ""} · ${named(REASONS, decision.reason)}` : "");
  $("rules").hidden = !decision;
  if (decision) {
    const rows = decision.rows;
    text($("rules-count"), rows.length ? `(${rows.length})` : "");
    $("rows").replaceChildren(...rows.map((row) => element("li", { class: row.applied ? "applied" : "passed" },
      element("span", { class: "mark", "aria-hidden": "true" }, row.applied ? (decision.kind === "grant" ? "✓" : "✕") : "·"),
      element("span", { class: "reason" }, named(REASONS, row.reason)), element("span", { class: "hidden" }, `: ${word(row.applied ? "applied" : "passed")}: `),
      element("span", { class: "values" }, values(row.values, language)))));
    text($("rules-source"), !rows.length ? word("no_rows") : !decision.agrees ? word("differs") : word(decision.source === "firmware" ? "from_firmware" : "computed"));
  }
  showLatency();
}

const PARTS = ["poll", "air", "spi", "cpu", "flash"];
function showLatency() {
  $("latency").hidden = !latency;
  if (!latency) return;
  const bar = $("latency-bar");
  bar.replaceChildren(...PARTS.map((part) => { const piece = element("span", { class: part }); piece.style.flexGrow = String(latency[part]); return piece; }));
  bar.setAttribute("aria-label", `${latency.total.toFixed(1)} ms`);
  $("latency-parts").replaceChildren(element("div", { class: "total" }, element("dt", {}, "Σ"), element("dd", {}, `${latency.total.toFixed(1)} ms`)),
    ...PARTS.map((part) => element("div", { class: part }, element("dt", {}, word(part)), element("dd", {}, `${latency[part].toFixed(1)} ms`))));
}

function showJournal() {
  $("journal").replaceChildren(...journal.map((record) => {
    const what = record.type === "alarm" || record.type === "alarm_end" ? named(ALARMS, record.reason) : ["grant", "deny"].includes(record.type) ? named(REASONS, record.reason) : record.type === "mode" ? word("mode_" + record.reason) : "";
    const card = record.type === "list_applied" ? `#${parseInt(record.card, 16)}` : record.card;
    return element("tr", { class: record.type, "data-seq": record.seq }, element("td", {}, String(record.seq)), element("td", {}, clock(record.time)),
      element("td", {}, `${named(RECORDS, record.type)}${record.dir ? ` · ${word("way_" + record.dir)}` : ""}${what ? ` · ${what}` : ""}`), element("td", {}, card));
  }));
}

async function loadTrace() {
  const mine = ++traced;
  try {
    const answer = await fetch("last-tap.json");
    if (!answer.ok || mine !== traced) return;
    const { rows } = await answer.json();
    if (mine !== traced) return;
    const only = $("air-only").checked;
    $("trace").replaceChildren(...rows.filter((row) => !only || row[1] === "air").slice(0, 1500).map(([us, kind, what, bytes, meaning]) =>
      element("tr", { class: kind }, element("td", {}, String(us)), element("td", {}, what), element("td", {}, meaning), element("td", {}, bytes))));
  } catch { /* the connection says it too */ }
}

// -- doing --

let follow = null;
const cardOf = (name) => state?.cards.find((card) => card.name === name);
const readerOf = (card) => (card.card === "inside" ? "out" : "in");
const wayOf = (card) => (card.person === "inside" ? "out" : "in");
function choose(name) { chosen = name; drawing.choose(name); if (state) showWho(); }
async function enter(name) {
  const card = cardOf(name);
  if (!card) return;
  follow = card.card === card.person ? { card: name, direction: readerOf(card) } : null;
  const answer = await ask({ type: "hold", card: name, reader: readerOf(card), ms: 700 });
  if (answer.type === "error") follow = null;
}
const ACTS = {
  enter: (card) => enter(card.name),
  tap: (card) => ask({ type: "hold", card: card.name, reader: readerOf(card), ms: 700 }),
  hold: (card) => ask(card.reader ? { type: "take", card: card.name } : { type: "hold", card: card.name, reader: readerOf(card) }),
  walk: (card) => ask({ type: "walk", card: card.name, direction: wayOf(card) }),
  tailgate: (card) => ask({ type: "tailgate", card: card.name, direction: wayOf(card) }),
  pass_back: (card) => ask({ type: "pass_back", card: card.name }),
};
function act(name) { const card = cardOf(chosen); if (card) ACTS[name](card); }
function dropped(name, target) {
  const card = cardOf(name);
  choose(name);
  if (!card || !target) return;
  if (target.startsWith("reader_")) ask({ type: "hold", card: name, reader: target.slice(7), ms: 700 });
  else if (target === "turnstile" || target !== card.person) ask({ type: "walk", card: name, direction: wayOf(card) });
}

for (const button of document.querySelectorAll("[data-act]")) button.addEventListener("click", () => act(button.dataset.act));
for (const button of document.querySelectorAll("[data-guard]")) button.addEventListener("click", () => ask({ type: "guard", direction: button.dataset.guard }));
for (const button of document.querySelectorAll("[data-force]")) button.addEventListener("click", () => ask({ type: "force", direction: button.dataset.force }));
for (const id of ["fire", "tamper"]) $(id).addEventListener("click", () => ask({ type: "input", name: id, on: !state.inputs[id] }));
$("network").addEventListener("click", () => ask({ type: "network", on: !state.network }));
$("power-cut").addEventListener("click", () => ask({ type: "power", on: false }));
$("power-on").addEventListener("click", () => ask({ type: "power", on: true }));
$("power-lost").addEventListener("click", () => ask({ type: "power", on: true, clock: "lost" }));
$("mode").addEventListener("change", () => ask({ type: "mode", mode: $("mode").value }));
$("step").addEventListener("click", () => ask({ type: "clock_step", seconds: Math.round(Number($("step-minutes").value) * 60) }));
$("play").addEventListener("click", () => ask({ type: "play", file: $("story").value }));
$("back").addEventListener("click", () => ask({ type: "hall" }));
$("speed").addEventListener("change", () => ask({ type: "speed", speed: Number($("speed").value) }));
$("runtime").addEventListener("change", () => ask({ type: "runtime", runtime: $("runtime").value }));
$("gate").addEventListener("change", () => ask({ type: "view", gate: $("gate").value }));
$("trace-details").addEventListener("toggle", () => { if ($("trace-details").open) loadTrace(); });
$("air-only").addEventListener("change", loadTrace);

const KEYS = { Enter: "enter", " ": "enter", t: "tap", h: "hold", w: "walk", f: "tailgate", b: "pass_back" };
const MOVES = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
$("hall").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || !event.target.closest("[data-card]")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key in MOVES) {
    const names = state.cards.map((card) => card.name);
    choose(names[(names.indexOf(chosen) + MOVES[key] + names.length) % names.length]);
    drawing.focus(chosen);
  } else if (key in KEYS && !event.repeat) act(KEYS[key]);
  else return;
  event.preventDefault();
});

// -- language, sound --

function speak(next) {
  language = next;
  stored("language", next);
  document.documentElement.lang = next;
  for (const node of document.querySelectorAll("[data-word]")) text(node, word(node.dataset.word));
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", word(node.dataset.label));
  for (const one of ["id", "en"]) $("lang-" + one).setAttribute("aria-pressed", String(one === next));
  if (state) showState();
  showDecision(); showJournal(); showResult();
}
for (const one of ["id", "en"]) $("lang-" + one).addEventListener("click", () => speak(one));

let audio = null;
function sound(kind) {
  if (!$("sound").checked) return;
  audio ??= new AudioContext();
  const tone = audio.createOscillator(), volume = audio.createGain();
  tone.frequency.value = kind === "grant" ? 880 : 220;
  volume.gain.setValueAtTime(0.08, audio.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.3);
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.3);
}

if (matchMedia("(max-width: 699px)").matches) $("rules").open = false;
speak(language);
connect();
