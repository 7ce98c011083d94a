"use strict";
// Lanes of jobs and waits on a canvas. The data stands in the page; nothing is fetched.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const box = document.getElementById("lanes");
  if (!box) return;
  box.hidden = false;
  document.getElementById("tools").hidden = false;
  const canvas = box.querySelector("canvas"), pen = canvas.getContext("2d");
  const tip = document.getElementById("tip"), panel = document.getElementById("selected");
  const semantics = document.getElementById("semantics");
  const ROW = 20, TOP = 22, NAMES = 190;
  const jobs = data.jobs, count = jobs.line.length, lanes = data.lanes;
  const begin = new Float64Array(count), end = new Float64Array(count);
  for (let j = 0; j < count; j++) {
    const known = [jobs.submit[j], jobs.run[j], jobs.done[j]].filter(t => t >= 0);
    begin[j] = known.length ? Math.min(...known) : 0;
    // A job whose end is not recorded had ended when a later one of its timeline did.
    end[j] = jobs.done[j] >= 0 ? jobs.done[j] : jobs.end[j] >= 0 ? jobs.end[j] : data.span;
  }
  // Items of each lane by their beginning; `until` is the latest end so far, to find the first that is in view.
  const rows = lanes.map(name => ({ name, items: [], until: [] }));
  for (let j = 0; j < count; j++) rows[jobs.lane[j]].items.push(j);
  const start = i => i < count ? begin[i] : data.waits.begin[i - count];
  const stop = i => i < count ? end[i] : data.waits.begin[i - count] + data.waits.length[i - count];
  const firstTask = rows.length;
  data.tasks.forEach(name => rows.push({ name, items: [], until: [] }));
  data.waits.task.forEach((task, w) => rows[firstTask + task].items.push(count + w));
  for (const row of rows) {
    row.items.sort((a, b) => start(a) - start(b));
    let latest = -1;
    row.until = row.items.map(i => latest = Math.max(latest, stop(i)));
  }
  const rowOf = i => i < count ? jobs.lane[i] : firstTask + data.waits.task[i - count];
  // From pairs (waiter, dependency) to lists for both ends.
  const lists = pairs => {
    const on = new Map(), by = new Map();
    const add = (map, key, value) => { const list = map.get(key); if (list) list.push(value); else map.set(key, [value]); };
    for (let p = 0; p < pairs.length; p += 2) { add(on, pairs[p], pairs[p + 1]); add(by, pairs[p + 1], pairs[p]); }
    return { on, by };
  };
  const recorded = lists(data.recorded), given = data.semantics.map(s => lists(s.given));
  const isRecorded = (job, on) => (recorded.on.get(job) || []).includes(on);
  const waitsFor = new Map();
  data.waits.job.forEach((job, w) => { if (job >= 0) (waitsFor.get(job) || waitsFor.set(job, []).get(job)).push(count + w); });

  const full = { from: -0.01 * data.span, to: 1.01 * data.span + 1 };
  const view = { from: full.from, to: full.to, selected: -1, hover: -1, drawn: 0 };
  const ms = ns => (ns / 1e6).toFixed(3) + " ms";
  const jobName = j => data.lines[jobs.line[j]] + ":" + jobs.seqno[j];
  const name = i => i < count ? jobName(i) : data.tasks[data.waits.task[i - count]] + " waits for " + data.waits.on[i - count];
  const time = (a, b) => a >= 0 && b >= a ? ms(b - a) : "-";
  const about = i => {
    if (i >= count) {
      const w = i - count;
      return [name(i), "waited " + ms(data.waits.length[w]) + ", " + data.waits.ended[w], "at " + ms(data.waits.begin[w])];
    }
    const told = [jobName(i), "at " + ms(begin[i]), "queued " + time(jobs.submit[i], jobs.run[i]),
      "ran " + time(jobs.run[i], jobs.done[i]), "hardware " + time(jobs.hw[i], jobs.done[i])];
    if (jobs.done[i] < 0) told.push("its end is not recorded");
    if (data.watchdogs[i]) told.push("end brought by " + data.watchdogs[i]);
    return told;
  };

  let width = 0, colors = {};
  const x = t => NAMES + (t - view.from) / (view.to - view.from) * (width - NAMES);
  const y = i => TOP + rowOf(i) * ROW;
  const color = key => colors[key] || (colors[key] = getComputedStyle(document.documentElement).getPropertyValue("--" + key).trim());
  let due = false;
  const draw = () => { if (!due) { due = true; requestAnimationFrame(paint); } };

  const firstIn = row => { // the first item that ends in view or after
    let low = 0, high = row.items.length;
    while (low < high) { const mid = (low + high) >> 1; if (row.until[mid] < view.from) low = mid + 1; else high = mid; }
    return low;
  };
  // Bars that fall on the same pixels are drawn once.
  const bars = (row, top, height, fill, from, to, wanted) => {
    pen.fillStyle = fill;
    let last = -1;
    for (let n = firstIn(row); n < row.items.length; n++) {
      const i = row.items[n];
      if (start(i) > view.to) break;
      if (!wanted(i)) continue;
      const a = Math.max(NAMES, x(from(i))), b = Math.min(width, x(to(i)));
      if (b < NAMES || b <= last) continue;
      const left = Math.max(a, last);
      pen.fillRect(left, top, Math.max(b - left, .8), height);
      last = Math.max(b, left + .8);
    }
  };
  const arrow = (fromTime, fromRow, toTime, toRow, ink, dash) => {
    const [x1, y1, x2, y2] = [x(fromTime), TOP + fromRow * ROW + ROW / 2, x(toTime), TOP + toRow * ROW + ROW / 2];
    pen.strokeStyle = pen.fillStyle = ink;
    pen.setLineDash(dash);
    pen.beginPath(); pen.moveTo(x1, y1); pen.bezierCurveTo(x1 + 24, y1, x2 - 24, y2, x2, y2); pen.stroke();
    pen.setLineDash([]);
    pen.beginPath(); pen.moveTo(x2, y2); pen.lineTo(x2 - 7, y2 - 4); pen.lineTo(x2 - 7, y2 + 4); pen.fill();
  };
  const arrows = i => {
    pen.save(); pen.beginPath(); pen.rect(NAMES, TOP, width - NAMES, rows.length * ROW); pen.clip(); pen.lineWidth = 1.5;
    const ready = j => jobs.run[j] >= 0 ? jobs.run[j] : begin[j];
    const edge = (waiter, on, ink, dash) => arrow(end[on], rowOf(on), ready(waiter), rowOf(waiter), ink, dash);
    if (i >= count) {
      const job = data.waits.job[i - count];
      if (job >= 0) arrow(end[job], rowOf(job), stop(i), rowOf(i), color("wait"), []);
    } else {
      const rests = given[semantics.value] || { on: new Map(), by: new Map() };
      for (const on of recorded.on.get(i) || []) edge(i, on, color("recorded"), []);
      for (const by of recorded.by.get(i) || []) edge(by, i, color("recorded"), []);
      for (const on of rests.on.get(i) || []) if (!isRecorded(i, on)) edge(i, on, color("assumed"), [5, 3]);
      for (const by of rests.by.get(i) || []) if (!isRecorded(by, i)) edge(by, i, color("assumed"), [5, 3]);
      for (const w of waitsFor.get(i) || []) arrow(end[i], rowOf(i), stop(w), rowOf(w), color("wait"), []);
    }
    pen.restore();
  };
  const grid = () => {
    const rough = (view.to - view.from) / Math.max(2, (width - NAMES) / 110);
    const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
    const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= rough) || power * 10;
    pen.fillStyle = color("soft"); pen.strokeStyle = color("line"); pen.lineWidth = 1;
    for (let t = Math.ceil(view.from / step) * step; t < view.to; t += step) {
      const at = Math.round(x(t)) + .5;
      pen.beginPath(); pen.moveTo(at, TOP - 4); pen.lineTo(at, TOP + rows.length * ROW); pen.stroke();
      pen.fillText((t / 1e6).toFixed(step >= 1e6 ? 0 : step >= 1e3 ? 3 : 6) + " ms", at + 3, 12);
    }
  };
  const paint = () => {
    due = false;
    const ratio = window.devicePixelRatio || 1, height = TOP + rows.length * ROW + 4;
    width = box.clientWidth;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio); canvas.style.height = height + "px";
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    grid();
    const seen = [box.scrollTop - ROW, box.scrollTop + box.clientHeight + ROW];
    rows.forEach((row, r) => {
      const top = TOP + r * ROW;
      if (top < seen[0] || top > seen[1]) return;
      pen.strokeStyle = color("line"); pen.beginPath(); pen.moveTo(0, top + ROW - .5); pen.lineTo(width, top + ROW - .5); pen.stroke();
      pen.fillStyle = color("fg"); pen.save(); pen.beginPath(); pen.rect(0, top, NAMES - 6, ROW); pen.clip(); pen.fillText(row.name, 6, top + 14); pen.restore();
      if (r >= firstTask) { bars(row, top + 4, 12, color("wait"), start, stop, () => true); return; }
      bars(row, top + 2, 5, color("queue"), i => jobs.submit[i], i => jobs.run[i] >= 0 ? jobs.run[i] : end[i], i => jobs.submit[i] >= 0 && jobs.run[i] !== jobs.submit[i]);
      bars(row, top + 8, 9, color("ran"), i => jobs.run[i], i => end[i], i => jobs.run[i] >= 0);
      bars(row, top + 8, 9, color("run"), i => jobs.hw[i], i => jobs.done[i], i => jobs.hw[i] >= 0);
    });
    for (const [i, ink] of [[view.hover, "soft"], [view.selected, "select"]]) {
      if (i < 0) continue;
      pen.strokeStyle = color(ink); pen.lineWidth = 2;
      const a = Math.max(NAMES, x(start(i)));
      pen.strokeRect(a - 1, y(i) + 1, Math.max(2, Math.min(width, x(stop(i))) - a) + 2, ROW - 3);
      arrows(i);
    }
    view.drawn++;
  };

  const at = (px, py) => {
    const row = rows[Math.floor((py - TOP) / ROW)];
    if (!row || px < NAMES) return -1;
    const t = view.from + (px - NAMES) / (width - NAMES) * (view.to - view.from), slack = 3 / (width - NAMES) * (view.to - view.from);
    let best = -1, nearest = slack;
    for (let n = firstIn(row); n < row.items.length && start(row.items[n]) <= t + slack; n++) {
      const i = row.items[n], gap = Math.max(start(i) - t, t - stop(i), 0);
      // Of bars one over the other the last one to begin lies on top.
      if (gap <= nearest) { best = i; nearest = gap; }
    }
    return best;
  };
  const show = (from, to) => {
    const most = full.to - full.from, length = Math.min(Math.max(to - from, 100), most);
    view.from = Math.min(Math.max(from, full.from), full.to - length);
    view.to = view.from + length;
    draw();
  };
  const zoom = (factor, t) => show(t - (t - view.from) * factor, t + (view.to - t) * factor);
  const list = (parent, title, names) => {
    const head = document.createElement("h3"); head.textContent = title; parent.append(head);
    if (!names.length) { const none = document.createElement("p"); none.textContent = "nothing"; none.className = "soft"; parent.append(none); return; }
    const ul = document.createElement("ul");
    for (const [text, differs] of names.slice(0, 50)) { const li = document.createElement("li"); li.textContent = text; if (differs) li.className = "diff"; ul.append(li); }
    if (names.length > 50) { const li = document.createElement("li"); li.textContent = "and " + (names.length - 50) + " more"; ul.append(li); }
    parent.append(ul);
  };
  const select = i => {
    view.selected = i;
    panel.textContent = "";
    if (i >= 0) {
      const line = document.createElement("p"); line.textContent = about(i).join(" · "); panel.append(line);
      if (i < count) {
        const three = document.createElement("div"); three.className = "three";
        data.semantics.forEach((s, n) => {
          const column = document.createElement("div");
          // What one semantics gives and another does not is marked.
          const gives = m => given[m].on.get(i) || [], here = gives(n);
          const differs = j => data.semantics.some((_, m) => gives(m).includes(j) !== here.includes(j));
          const names = here.map(j => [jobName(j) + (isRecorded(i, j) ? " (recorded)" : " (assumed)"), differs(j)]);
          const others = (recorded.on.get(i) || []).filter(j => !here.includes(j));
          list(column, s.name + ": waits for", names.concat(others.map(j => [jobName(j) + " (recorded, not from the objects)", differs(j)])));
          three.append(column);
        });
        const tasks = document.createElement("div");
        list(tasks, "Tasks that waited for it", (waitsFor.get(i) || []).map(w => [data.tasks[data.waits.task[w - count]] + ", " + ms(data.waits.length[w - count]), false]));
        three.append(tasks);
        panel.append(three);
      }
    }
    draw();
  };
  const reveal = i => {
    const length = view.to - view.from;
    if (start(i) < view.from || start(i) > view.to) show(start(i) - length / 3, start(i) + length * 2 / 3);
    if (y(i) < box.scrollTop || y(i) > box.scrollTop + box.clientHeight - ROW) box.scrollTop = y(i) - box.clientHeight / 2;
    select(i);
  };
  const order = Array.from({ length: count }, (_, j) => j).sort((a, b) => begin[a] - begin[b]);
  const place = new Int32Array(count); order.forEach((j, n) => { place[j] = n; });
  const next = step => {
    if (!count) return;
    const here = view.selected >= 0 && view.selected < count ? place[view.selected] + step : 0;
    reveal(order[Math.min(Math.max(here, 0), count - 1)]);
  };

  const point = event => { const r = canvas.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
  canvas.addEventListener("wheel", event => {
    if (!event.ctrlKey && event.shiftKey) return; // shift scrolls the lanes
    event.preventDefault();
    const [px] = point(event), t = view.from + (px - NAMES) / (width - NAMES) * (view.to - view.from);
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) { const by = event.deltaX / width * (view.to - view.from); show(view.from + by, view.to + by); }
    else zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))), t);
  }, { passive: false });
  let drag = null;
  canvas.addEventListener("pointerdown", event => { drag = { x: event.clientX, from: view.from, to: view.to, moved: false }; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", event => {
    if (drag) {
      const by = (drag.x - event.clientX) / (width - NAMES) * (drag.to - drag.from);
      drag.moved = drag.moved || Math.abs(drag.x - event.clientX) > 3;
      if (drag.moved) show(drag.from + by, drag.to + by);
      return;
    }
    const i = at(...point(event));
    if (i !== view.hover) { view.hover = i; draw(); }
    tip.hidden = i < 0;
    if (i >= 0) { tip.textContent = about(i).join("\n"); tip.style.left = Math.min(event.clientX + 14, innerWidth - 260) + "px"; tip.style.top = event.clientY + 14 + "px"; }
  });
  canvas.addEventListener("pointerup", event => { if (drag && !drag.moved) select(at(...point(event))); drag = null; });
  canvas.addEventListener("pointercancel", () => { drag = null; });
  canvas.addEventListener("pointerleave", () => { view.hover = -1; tip.hidden = true; draw(); });
  const keys = {
    ArrowLeft: () => show(view.from - (view.to - view.from) / 5, view.to - (view.to - view.from) / 5),
    ArrowRight: () => show(view.from + (view.to - view.from) / 5, view.to + (view.to - view.from) / 5),
    "+": () => zoom(.6, (view.from + view.to) / 2), "=": () => zoom(.6, (view.from + view.to) / 2), "-": () => zoom(1 / .6, (view.from + view.to) / 2),
    "0": () => show(full.from, full.to), n: () => next(1), p: () => next(-1), Escape: () => select(-1),
  };
  canvas.addEventListener("keydown", event => { const act = keys[event.key]; if (act) { event.preventDefault(); act(); } });
  for (const button of document.querySelectorAll("#tools button")) button.addEventListener("click", () => keys[button.value]());
  semantics.addEventListener("change", draw);
  box.addEventListener("scroll", draw);
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { colors = {}; draw(); });
  for (const link of document.querySelectorAll("[data-job]")) {
    link.addEventListener("click", event => { event.preventDefault(); reveal(Number(link.dataset.job)); canvas.focus(); });
  }
  window.resv = { view, data, select, show, name, xy: i => { paint(); const r = canvas.getBoundingClientRect(); return [r.left + (Math.max(NAMES, x(start(i))) + Math.min(width, x(stop(i)))) / 2, r.top + y(i) + ROW / 2]; } };
  paint();
})();
// Tables that sort.
(() => {
  for (const table of document.querySelectorAll("table.sort")) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = document.createElement("button"); button.type = "button"; button.textContent = head.textContent;
      head.textContent = ""; head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        heads.forEach(other => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = row => { const cell = row.cells[column]; return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v); };
        const rows = [...body.rows].map(row => [value(row), row]);
        rows.sort(([a], [b]) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true })) * (down ? -1 : 1));
        body.append(...rows.map(([, row]) => row));
      });
    });
  }
})();
