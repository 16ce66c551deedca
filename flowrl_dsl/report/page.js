"use strict";
// Curves of a report: drawn from the JSON of the page, which comes from run folders, as text and numbers alone.
(() => {
  const COLORS = /* colors */ [];
  const DASHES = ["", "7 4", "2 3", "8 3 2 3"];
  const HEIGHT = { large: 300, small: 180 };
  const EDGE = { left: 58, right: 20, top: 10, bottom: 40 };
  const AXES = { steps: "environment steps", updates: "updates", seconds: "seconds of training" };
  const POLL = 5000;

  let data = JSON.parse(document.getElementById("data").textContent);
  const view = { axis: "steps", logx: false, logy: false, range: null, hidden: new Set() };
  let charts = [];

  const svg = (name, attributes = {}, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== "") element.textContent = text;
    return element;
  };
  const html = (name, className = "", text = "") => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== "") element.textContent = text;
    return element;
  };

  const short = (value) => {
    const size = Math.abs(value);
    if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
    if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
    if (size !== 0 && size < 1e-3) return value.toExponential(1);
    return `${+value.toPrecision(4)}`;
  };

  // A map from values to pixels and back; on a logarithmic axis values that are not positive have no place.
  const scale = (low, high, from, to, log) => {
    const f = log ? Math.log10 : (value) => value;
    const [a, b] = [f(low), f(high)];
    const span = b - a || 1;
    const at = (value) => from + ((f(value) - a) / span) * (to - from);
    at.inverse = (pixel) => {
      const value = a + ((pixel - from) / (to - from)) * span;
      return log ? 10 ** value : value;
    };
    return at;
  };

  const ticks = (low, high, count, log) => {
    const found = [];
    if (log) {
      const decades = Math.log10(high) - Math.log10(low);
      const steps = decades > 2 ? [1] : decades > 0.8 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
      for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
        for (const step of steps) found.push(step * 10 ** power);
      }
      return found.filter((value) => value >= low && value <= high);
    }
    const rough = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough);
    for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(+value.toPrecision(12));
    return found;
  };

  const points = (curve) => {
    const x = curve.x[view.axis];
    const found = [];
    for (let k = 0; k < x.length; k++) {
      const place = x[k];
      if (place === null || curve.y[k] === null) continue;
      if ((view.logx && place <= 0) || (view.logy && curve.y[k] <= 0)) continue;
      if (view.range && (place < view.range[0] || place > view.range[1])) continue;
      found.push({ x: place, y: curve.y[k], low: curve.low[k], high: curve.high[k] });
    }
    return found;
  };

  const extent = (values) => {
    let low = Infinity, high = -Infinity;
    for (const value of values) {
      if (value === null || (view.logy && value <= 0)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    return [low, high];
  };

  class Chart {
    constructor(parent, title, label, curves, height) {
      Object.assign(this, { curves, height, label });
      this.figure = html("figure");
      this.figure.append(html("figcaption", "", title));
      this.svg = svg("svg", { role: "img", "aria-label": `${label} of ${title} by ${view.axis}` });
      this.tip = html("div", "tip");
      this.tip.hidden = true;
      this.figure.append(this.svg, this.tip);
      parent.append(this.figure);
      this.svg.addEventListener("pointermove", (event) => this.move(event));
      this.svg.addEventListener("pointerdown", (event) => this.press(event));
      this.svg.addEventListener("pointerup", (event) => this.release(event));
      this.svg.addEventListener("pointerleave", () => this.leave());
      this.svg.addEventListener("dblclick", () => magnify(null));
    }

    draw() {
      const width = this.width = this.svg.clientWidth || this.figure.clientWidth || 320;
      const height = this.height;
      this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.svg.style.height = `${height}px`;
      this.svg.replaceChildren();
      this.shown = this.curves.filter((curve) => !view.hidden.has(curve.label)).map((curve) => ({ curve, points: points(curve) }));
      this.shown = this.shown.filter((one) => one.points.length);
      const every = this.shown.flatMap((one) => one.points);
      if (!every.length) {
        this.svg.append(svg("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "nothing to draw"));
        return;
      }
      const xs = every.map((point) => point.x);
      let [left, right] = view.range || [view.logx ? Math.min(...xs) : 0, Math.max(...xs)];
      if (view.logx && left <= 0) left = Math.min(...xs);
      let [low, high] = extent(every.flatMap((point) => [point.y, point.low, point.high]));
      const air = view.logy ? 0 : (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
      if (view.logy && low === high) [low, high] = [low / 2, high * 2];
      this.x = scale(left, right, EDGE.left, width - EDGE.right, view.logx);
      this.y = scale(low - air, high + air, height - EDGE.bottom, EDGE.top, view.logy);
      this.frame([left, right], [low - air, high + air]);
      for (const one of this.shown) {
        this.phases(one.curve);
        this.line(one);
      }
      this.over = svg("g");
      this.svg.append(this.over);
    }

    frame([left, right], [low, high]) {
      const [bottom, end] = [this.height - EDGE.bottom, this.width - EDGE.right];
      for (const value of ticks(low, high, 5, view.logy)) {
        const y = this.y(value);
        this.svg.append(svg("line", { class: "grid", x1: EDGE.left, x2: end, y1: y, y2: y }));
        this.svg.append(svg("text", { x: EDGE.left - 6, y: y + 4, "text-anchor": "end" }, short(value)));
      }
      for (const value of ticks(left, right, Math.max(2, this.width / 110), view.logx)) {
        const x = this.x(value);
        this.svg.append(svg("line", { class: "grid", x1: x, x2: x, y1: bottom, y2: bottom + 4 }));
        this.svg.append(svg("text", { x, y: bottom + 17, "text-anchor": "middle" }, short(value)));
      }
      this.svg.append(svg("text", { x: (EDGE.left + end) / 2, y: this.height - 6, "text-anchor": "middle" }, AXES[view.axis]));
    }

    phases(curve) {
      for (const place of curve.begins[view.axis]) {
        const x = this.x(place);
        if (!(x >= EDGE.left && x <= this.width - EDGE.right)) continue;
        const line = { x1: x, x2: x, y1: EDGE.top, y2: this.height - EDGE.bottom, "stroke-dasharray": "1 3" };
        this.svg.append(svg("line", { ...line, stroke: COLORS[curve.color % COLORS.length] }));
      }
    }

    line({ curve, points }) {
      const color = COLORS[curve.color % COLORS.length];
      const inside = (value) => (view.logy ? Math.max(value, this.y.inverse(this.height - EDGE.bottom)) : value);
      const place = (x, y) => `${this.x(x).toFixed(1)} ${this.y(inside(y)).toFixed(1)}`;
      if (points.some((point) => point.high > point.low)) {
        const upper = points.map((point) => place(point.x, point.high));
        const lower = points.map((point) => place(point.x, point.low)).reverse();
        this.svg.append(svg("path", { d: `M${[...upper, ...lower].join("L")}Z`, fill: color, opacity: 0.16 }));
      }
      const way = `M${points.map((point) => place(point.x, point.y)).join("L")}`;
      this.svg.append(svg("path", { d: way, fill: "none", stroke: color, "stroke-width": 2, "stroke-dasharray": DASHES[curve.dash] }));
      if (points.length > 30) return;
      for (const point of points) this.svg.append(svg("circle", { cx: this.x(point.x), cy: this.y(point.y), r: 2.6, fill: color }));
    }

    pixel(event) {
      const box = this.svg.getBoundingClientRect();
      return Math.min(Math.max(event.clientX - box.left, EDGE.left), this.width - EDGE.right);
    }

    press(event) {
      if (!this.x || event.pointerType === "touch") return;
      this.start = this.pixel(event);
      this.svg.setPointerCapture(event.pointerId);
    }

    release(event) {
      if (this.start === undefined) return;
      const [from, to] = [this.start, this.pixel(event)].sort((a, b) => a - b);
      this.start = undefined;
      if (to - from > 6) magnify([this.x.inverse(from), this.x.inverse(to)]);
    }

    leave() {
      this.tip.hidden = true;
      if (this.over) this.over.replaceChildren();
    }

    move(event) {
      if (!this.x || !this.over) return;
      const pixel = this.pixel(event);
      this.over.replaceChildren();
      if (this.start !== undefined) {
        const box = { x: Math.min(pixel, this.start), width: Math.abs(pixel - this.start), y: EDGE.top };
        this.over.append(svg("rect", { class: "brush", ...box, height: this.height - EDGE.top - EDGE.bottom }));
      }
      this.tip.replaceChildren();
      let nearest = null;
      for (const { points } of this.shown) {
        for (const point of points) {
          const distance = Math.abs(this.x(point.x) - pixel);
          if (!nearest || distance < nearest.distance) nearest = { distance, x: point.x };
        }
      }
      const at = this.x(nearest.x);
      this.over.append(svg("line", { class: "cursor", x1: at, x2: at, y1: EDGE.top, y2: this.height - EDGE.bottom }));
      this.tip.append(html("b", "", `${short(nearest.x)} ${AXES[view.axis]}`));
      for (const { curve, points } of this.shown) this.value(curve, points, at);
      this.tip.hidden = false;
      const room = this.figure.clientWidth - this.tip.offsetWidth;
      this.tip.style.left = `${Math.max(0, Math.min(room, at + 12 > room ? at - this.tip.offsetWidth - 12 : at + 12))}px`;
      this.tip.style.top = `${this.svg.getBoundingClientRect().top - this.figure.getBoundingClientRect().top + EDGE.top}px`;
    }

    value(curve, points, at) {
      const near = points.reduce((a, b) => (Math.abs(this.x(b.x) - at) < Math.abs(this.x(a.x) - at) ? b : a));
      if (Math.abs(this.x(near.x) - at) > 40) return;
      const row = html("div");
      const mark = html("i");
      mark.style.background = COLORS[curve.color % COLORS.length];
      const band = near.high > near.low ? ` [${short(near.low)}, ${short(near.high)}]` : "";
      row.append(mark, `${curve.label}: ${short(near.y)}${band}`);
      this.tip.append(row);
      this.over.append(svg("circle", { cx: this.x(near.x), cy: this.y(near.y), r: 4, fill: mark.style.background }));
    }
  }

  const magnify = (range) => {
    view.range = range;
    redraw();
  };

  const redraw = () => {
    for (const chart of charts) chart.draw();
  };

  const unique = (values) => [...new Set(values)];

  const build = () => {
    charts = [];
    const [returns, metrics] = [document.getElementById("returns"), document.getElementById("metrics")];
    returns.replaceChildren();
    metrics.replaceChildren();
    const tasks = unique(data.curves.map((curve) => curve.task));
    const found = (metric, task) => data.curves.filter((curve) => curve.metric === metric && curve.task === task);
    for (const task of tasks) {
      const curves = found(data.returns, task);
      if (curves.length) charts.push(new Chart(returns, task, "return of an evaluation", curves, HEIGHT.large));
    }
    if (!charts.length) returns.append(html("p", "quiet", "No evaluation yet."));
    for (const metric of unique(data.curves.map((curve) => curve.metric)).filter((name) => name !== data.returns)) {
      for (const task of tasks) {
        const curves = found(metric, task);
        const title = tasks.length > 1 ? `${metric}, ${task}` : metric;
        if (curves.length) charts.push(new Chart(metrics, title, metric, curves, HEIGHT.small));
      }
    }
    legend();
    redraw();
  };

  const legend = () => {
    const parent = document.getElementById("legend");
    parent.replaceChildren();
    const labels = new Map(data.curves.map((curve) => [curve.label, curve]));
    for (const [label, curve] of labels) {
      const button = html("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(!view.hidden.has(label)));
      const mark = svg("svg", { width: 26, height: 8 });
      const stroke = { stroke: COLORS[curve.color % COLORS.length], "stroke-width": 2.5, "stroke-dasharray": DASHES[curve.dash] };
      mark.append(svg("line", { x1: 0, x2: 26, y1: 4, y2: 4, ...stroke }));
      button.append(mark, curve.seeds > 1 ? `${label} (${curve.seeds} seeds)` : label);
      button.addEventListener("click", () => {
        if (!view.hidden.delete(label)) view.hidden.add(label);
        button.setAttribute("aria-pressed", String(!view.hidden.has(label)));
        redraw();
      });
      parent.append(button);
    }
  };

  const state = (text) => {
    document.getElementById("state").textContent = text;
  };

  // The page reads itself again: its tables are taken over as they are, its curves from its JSON.
  const poll = async () => {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) throw new Error(await answer.text());
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const id of ["evaluations", "differences", "timing"]) {
        const [old, now] = [document.getElementById(id), fresh.getElementById(id)];
        if (old && now) old.replaceWith(document.importNode(now, true));
      }
      data = JSON.parse(fresh.getElementById("data").textContent);
      build();
      state(`live, read at ${new Date().toLocaleTimeString()}`);
    } catch (error) {
      state(`not read again: ${String(error.message).slice(0, 200)}`);
    }
    setTimeout(poll, POLL);
  };

  const bind = (id, event, change) =>
    document.getElementById(id).addEventListener(event, (happened) => {
      change(happened.target);
      redraw();
    });
  bind("axis", "change", (target) => Object.assign(view, { axis: target.value, range: null }));
  bind("logx", "change", (target) => Object.assign(view, { logx: target.checked }));
  bind("logy", "change", (target) => Object.assign(view, { logy: target.checked }));
  bind("reset", "click", () => Object.assign(view, { range: null }));
  document.getElementById("controls").hidden = false;
  state(data.live ? "live" : "lines are inter-quartile means over seeds, bands 95 % intervals; of one seed, ± one standard deviation");
  build();
  new ResizeObserver(redraw).observe(document.body);
  if (data.live) setTimeout(poll, POLL);
})();
