// The drawn hall: zones, turnstile, readers, display, and everybody who has a card.
const NS = "http://www.w3.org/2000/svg";
export function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
// Two plans of one hall; places are centres.
const PLANS = {
  wide: {
    size: [980, 540], outside: [16, 16, 330, 508], inside: [634, 16, 330, 508], columns: 3, step: [104, 112], first: [62, 98],
    hub: [490, 340], turn: 0, walls: [[490, 16, 490, 226], [490, 454, 490, 524]], posts: [[490, 242], [490, 438]],
    readers: { in: [396, 464], out: [584, 202] }, display: [490, 96], arrows: { in: [373, 340, 0], out: [607, 340, 180] }, lamp: [490, 164],
    zone: { outside: [34, 50], inside: [652, 50] },
  },
  tall: {
    size: [390, 876], outside: [8, 588, 374, 280], inside: [8, 8, 374, 280], columns: 4, step: [91, 80], first: [54, 62],
    hub: [195, 462], turn: 90, walls: [[8, 462, 76, 462], [314, 462, 382, 462]], posts: [[97, 462], [293, 462]],
    readers: { in: [290, 538], out: [72, 388] }, display: [232, 332], arrows: { in: [195, 554, -90], out: [195, 394, 90] }, lamp: [330, 402],
    zone: { outside: [22, 612], inside: [22, 32] },
  },
};
const ARM = 78;

export class Drawing {
  constructor(host, callbacks) {
    this.callbacks = callbacks;
    this.people = new Map();
    this.query = window.matchMedia("(max-width: 699px)");
    this.root = svg("svg", { class: "hall", role: "group" });
    host.append(this.root);
    this.query.addEventListener("change", () => this.lay());
    this.back = svg("g", { "aria-hidden": "true" });
    this.front = svg("g");
    this.root.append(this.back, this.front);
    this.order = [];
    this.lay();
  }

  get plan() { return PLANS[this.query.matches ? "tall" : "wide"]; }

  lay() {
    const plan = this.plan;
    this.root.setAttribute("viewBox", `0 0 ${plan.size[0]} ${plan.size[1]}`);
    this.back.replaceChildren();
    const zone = (name) => {
      const [x, y, width, height] = plan[name];
      return svg("rect", { class: "zone " + name, x, y, width, height, rx: 18 });
    };
    this.titles = { outside: svg("text", { class: "zone-title", x: plan.zone.outside[0], y: plan.zone.outside[1] }),
      inside: svg("text", { class: "zone-title", x: plan.zone.inside[0], y: plan.zone.inside[1] }) };
    this.back.append(zone("outside"), zone("inside"), this.titles.outside, this.titles.inside);
    for (const [x1, y1, x2, y2] of plan.walls) this.back.append(svg("line", { class: "wall", x1, y1, x2, y2 }));
    const [hx, hy] = plan.hub;
    this.ring = svg("circle", { class: "ring", cx: hx, cy: hy, r: 90 });
    this.rotor = svg("g", { class: "rotor" }, ...[0, 120, 240].map((angle) => svg("line", { class: "arm", x1: 0, y1: 0, x2: 0, y2: -ARM, transform: `rotate(${angle})` })), svg("circle", { class: "hub", r: 17 }));
    this.place = svg("g", { transform: `translate(${hx} ${hy}) rotate(${plan.turn})` }, this.rotor);
    this.back.append(this.ring, this.place);
    for (const [cx, cy] of plan.posts) this.back.append(svg("rect", { class: "post", x: cx - 15, y: cy - 13, width: 30, height: 26, rx: 8 }));
    this.arrows = {};
    for (const way of ["in", "out"]) {
      const [x, y, angle] = plan.arrows[way];
      this.arrows[way] = svg("path", { class: "arrow", d: "M-16 0H12M3-9 13 0 3 9", transform: `translate(${x} ${y}) rotate(${angle})` });
      this.back.append(this.arrows[way]);
    }
    this.readers = {};
    this.labels = {};
    for (const way of ["in", "out"]) {
      const [x, y] = plan.readers[way];
      const group = svg("g", { class: "reader", transform: `translate(${x} ${y})` }, svg("circle", { class: "halo", r: 40 }),
        svg("rect", { class: "box", x: -24, y: -28, width: 48, height: 56, rx: 10 }),
        svg("path", { class: "waves", d: "M-7-6a9 9 0 0 1 0 12M-1-11a17 17 0 0 1 0 22M5-16a25 25 0 0 1 0 32" }));
      this.labels[way] = svg("text", { class: "label", y: 44 });
      group.append(this.labels[way]);
      this.readers[way] = group;
      this.back.append(group);
    }
    const [dx, dy] = plan.display;
    this.lines = [svg("text", { class: "glass-text", y: -7 }), svg("text", { class: "glass-text", y: 17 })];
    this.back.append(svg("g", { transform: `translate(${dx} ${dy})` }, svg("rect", { class: "glass", x: -108, y: -38, width: 216, height: 72, rx: 10 }), ...this.lines));
    const [lx, ly] = plan.lamp;
    this.lamps = { green: svg("circle", { class: "lamp green", cx: lx - 19, cy: ly, r: 11 }), red: svg("circle", { class: "lamp red", cx: lx + 19, cy: ly, r: 11 }) };
    this.back.append(svg("rect", { class: "lamp-box", x: lx - 40, y: ly - 19, width: 80, height: 38, rx: 19 }), this.lamps.green, this.lamps.red);
    if (this.last) this.show(this.last, this.text);
  }

  slot(side, index) {
    const plan = this.plan, [x, y] = plan[side];
    return [x + plan.first[0] + (index % plan.columns) * plan.step[0], y + plan.first[1] + Math.floor(index / plan.columns) * plan.step[1]];
  }

  // Make a node for everybody; `cards` in their order.
  cast(cards) {
    this.order = cards.map((card) => card.name);
    this.front.replaceChildren();
    this.people.clear();
    for (const card of cards) {
      const badge = svg("g", { class: "badge-card" }, svg("rect", { x: -17, y: -11, width: 34, height: 22, rx: 5 }), svg("text", { y: 5 }));
      badge.lastChild.textContent = card.name;
      const about = svg("text", { class: "about", y: 52 });
      const body = svg("g", { class: "body" }, svg("circle", { class: "focus", r: 38, cy: 2 }), svg("path", { class: "shoulders", d: "M-25 27c0-17 11-25 25-25s25 8 25 25c0 4-3 6-6 6h-38c-3 0-6-2-6-6z" }), svg("circle", { class: "head", cy: -15, r: 13 }));
      const node = svg("g", { class: `person ${card.class || (card.copy_of ? "copy" : "other")}`, role: "button", tabindex: "-1", "data-card": card.name, "aria-pressed": "false" },
        body, badge, about);
      this.front.append(node);
      this.people.set(card.name, { node, badge, about });
      this.listen(node, card.name);
    }
  }

  listen(node, name) {
    let start = null, moved = false;
    node.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      start = [event.clientX, event.clientY];
      moved = false;
      node.setPointerCapture(event.pointerId);
    });
    node.addEventListener("pointermove", (event) => {
      if (!start) return;
      const dx = event.clientX - start[0], dy = event.clientY - start[1];
      if (!moved && Math.hypot(dx, dy) < 8) return;
      moved = true;
      node.classList.add("dragged");
      const [x, y] = this.point(event);
      node.style.transform = `translate(${x}px, ${y}px)`;
      this.over(this.target(x, y));
    });
    const end = (event) => {
      if (!start) return;
      start = null;
      this.over(null);
      if (!moved) return;
      node.classList.remove("dragged");
      const target = event.type === "pointerup" ? this.target(...this.point(event)) : null;
      this.callbacks.dropped(name, target);
      this.show(this.last, this.text);
    };
    node.addEventListener("pointerup", end);
    node.addEventListener("pointercancel", end);
    node.addEventListener("click", () => { if (!moved) this.callbacks.chosen(name); });
    node.addEventListener("dblclick", () => this.callbacks.entered(name));
    node.addEventListener("focus", () => this.callbacks.chosen(name));
  }

  point(event) {
    const matrix = this.root.getScreenCTM().inverse();
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
    return [point.x, point.y];
  }

  // Where something was dropped: a reader, the side or the turnstile between them.
  target(x, y) {
    const plan = this.plan;
    for (const way of ["in", "out"]) if (Math.hypot(x - plan.readers[way][0], y - plan.readers[way][1]) < 56) return "reader_" + way;
    if (Math.hypot(x - plan.hub[0], y - plan.hub[1]) < 78) return "turnstile";
    for (const side of ["outside", "inside"]) {
      const [left, top, width, height] = plan[side];
      if (x >= left && x <= left + width && y >= top && y <= top + height) return side;
    }
    return null;
  }

  over(target) {
    for (const way of ["in", "out"]) this.readers[way].classList.toggle("over", target === "reader_" + way);
    this.ring.classList.toggle("over", target === "turnstile");
  }

  // Show the state; `text` are the words of the page and `tell(card)` what is said of somebody.
  show(state, text) {
    if (!state) return;
    this.last = state;
    this.text = text;
    this.titles.outside.textContent = text.word("waiting_area");
    this.titles.inside.textContent = text.word("service_room");
    this.labels.in.textContent = text.word("way_in");
    this.labels.out.textContent = text.word("way_out");
    this.root.setAttribute("aria-label", text.word("hall"));
    for (const place of [0, 1]) this.lines[place].textContent = (state.display[place] || "").padEnd(16, "\u00a0").replaceAll(" ", "\u00a0");
    this.lines[0].parentNode.classList.toggle("lit", state.display.some((line) => line));
    for (const colour of ["green", "red"]) this.lamps[colour].classList.toggle("lit", Boolean(state.outputs["lamp_" + colour]));
    this.ring.classList.toggle("free", state.free.in || state.free.out);
    this.ring.classList.toggle("dark", !state.power);
    this.ring.classList.toggle("fault", state.lane === "fault" || Boolean(state.fault));
    for (const way of ["in", "out"]) this.arrows[way].classList.toggle("lit", state.free[way]);
    this.rotor.style.transform = `rotate(${state.turns * 120}deg)`;
    this.root.dataset.turns = state.turns;
    for (const way of ["in", "out"]) this.readers[way].classList.toggle("busy", state.cards.some((card) => card.reader === way));
    state.cards.forEach((card, index) => {
      const found = this.people.get(card.name);
      if (!found) return;
      let [x, y] = this.slot(card.person, index);
      const apart = card.card !== card.person;
      if (card.reader && !apart) {
        const [rx, ry] = this.plan.readers[card.reader];
        [x, y] = this.query.matches ? [rx + (card.reader === "in" ? -62 : 62), ry + 6] : [rx + (card.reader === "in" ? -62 : 62), ry + 2];
      }
      if (!found.node.classList.contains("dragged")) found.node.style.transform = `translate(${x}px, ${y}px)`;
      let [bx, by] = [16, 20];
      if (apart) {
        const [cx, cy] = card.reader ? this.plan.readers[card.reader] : this.slot(card.card, index);
        [bx, by] = [cx - x, cy - y];
      } else if (card.reader) {
        const [rx, ry] = this.plan.readers[card.reader];
        [bx, by] = [rx - x, ry - y];
      }
      found.badge.style.transform = `translate(${bx}px, ${by}px)`;
      found.node.dataset.side = card.person;
      found.node.dataset.reader = card.reader || "";
      const words = text.about(card);
      if (found.about.textContent !== words.short) found.about.textContent = words.short;
      if (found.node.getAttribute("aria-label") !== words.long) found.node.setAttribute("aria-label", words.long);
    });
  }

  choose(name) {
    for (const [card, { node }] of this.people) {
      node.setAttribute("aria-pressed", String(card === name));
      node.setAttribute("tabindex", card === name ? "0" : "-1");
    }
  }

  focus(name) { this.people.get(name)?.node.focus(); }
}
