// Grids: only what is in sight is drawn; pointing and arrow keys tell what a cell is; the grid moves with the recording.
for (const figure of document.querySelectorAll(".gridview")) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const find = (name) => figure.querySelector(name);
  const wide = find(".wide"), room = find(".room"), canvas = find("canvas"), detail = find(".detail");
  const audio = document.querySelector(".player audio"), pen = canvas.getContext("2d");
  const AXIS = 36, TALL = 30, FONT = "600 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace";
  const K = data.rows.length, S = data.steps;
  const one = (value, s) => (Array.isArray(value) ? value[s] : value);
  let at = null, over = null, now = [], broad = 0;

  const label = (k, s) => {
    const row = data.rows[k], kind = row.kind[s], letters = row.stream[s] < 0 ? "" : data.short[row.stream[s]];
    if (kind === ".") return "";
    if (kind === "i") return letters + row.item[s];
    if (kind === "=") return "=" + row.symbol[s];
    return kind === "]" ? letters.replace(/:$/, "") + "]" : "@" + letters.replace(/:$/, "");
  };
  let longest = 2;
  for (let k = 0; k < K; k++) for (let s = 0; s < S; s++) longest = Math.max(longest, label(k, s).length);
  const natural = Math.max(26, longest * 7.4 + 10);
  broad = natural;

  // When an item sounds: by row, [begin, end, step], in order of time.
  const clock = (k, s) => {
    const row = data.rows[k];
    return row.seconds[s] === null ? null : row.seconds[s] + data.clock[row.stream[s]];
  };
  const whole = () => (audio && isFinite(audio.duration) ? audio.duration : Infinity);
  const spans = data.rows.map((row, k) => {
    const found = [];
    for (let s = 0; s < S; s++) if (row.kind[s] === "i" && clock(k, s) !== null) found.push([clock(k, s), null, s, row.stream[s]]);
    for (let n = found.length - 1; n >= 0; n--) {
      const lasts = data.lasts[found[n][3]];
      let next = n + 1;
      if (lasts === null) while (next < found.length && (found[next][3] !== found[n][3] || found[next][0] === found[n][0])) {
        if (found[next][3] === found[n][3]) { found[n][1] = found[next][1]; break; }
        next++;
      }
      if (found[n][1] === null) found[n][1] = lasts !== null ? found[n][0] + lasts : next < found.length ? found[next][0] : Infinity;
    }
    return found;
  });
  const sounding = (t) => {
    const cells = [];
    spans.forEach((found, k) => { for (const [begin, end, s] of found) if (begin <= t && t < end) cells.push([k, s]); });
    return cells;
  };
  const starts = [];
  for (let s = 0; s < S; s++) {
    let first = null;
    for (let k = 0; k < K; k++) if (data.rows[k].kind[s] === "i") {
      const second = clock(k, s);
      if (second !== null && (first === null || second < first)) first = second;
    }
    starts.push(first);
  }

  const hatch = (x, y, w, h, colour) => {
    pen.save(); pen.beginPath(); pen.rect(x, y, w, h); pen.clip(); pen.strokeStyle = colour; pen.lineWidth = 1; pen.beginPath();
    for (let d = -h; d < w; d += 6) { pen.moveTo(x + d, y + h); pen.lineTo(x + d + h, y); }
    pen.stroke(); pen.restore();
  };
  const draw = () => {
    const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(name).trim();
    const width = wide.clientWidth, height = AXIS + K * TALL, scale = window.devicePixelRatio || 1;
    room.style.width = Math.max(width, S * broad) + "px"; room.style.height = height + "px";
    canvas.style.width = width + "px"; canvas.style.height = height + "px";
    canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale);
    pen.setTransform(scale, 0, 0, scale, 0, 0); pen.clearRect(0, 0, width, height); pen.textBaseline = "middle"; pen.textAlign = "center";
    const left = wide.scrollLeft, first = Math.max(0, Math.floor(left / broad)), last = Math.min(S, Math.ceil((left + width) / broad));
    let written = -1e9, timed = -1e9;
    for (let s = first; s < last; s++) {
      const x = s * broad - left, middle = x + broad / 2;
      pen.fillStyle = colour("--soft"); pen.font = "11px system-ui, sans-serif";
      if (middle - written > 34) { pen.fillText(s, middle, 11); written = middle; }
      if (starts[s] !== null && middle - timed > 44) { pen.fillText(starts[s].toFixed(2), middle, 26); timed = middle; }
      for (let k = 0; k < K; k++) cell(k, s, x, AXIS + k * TALL, colour);
      if (s && (one(data.block, s) !== one(data.block, s - 1) || one(data.turn, s) !== one(data.turn, s - 1))) {
        pen.fillStyle = colour("--ink"); pen.fillRect(x - 1, AXIS - 6, 2, height);
      }
    }
    const ring = (k, s, name, thick) => {
      pen.strokeStyle = colour(name); pen.lineWidth = thick;
      pen.strokeRect(s * broad - left + 1, AXIS + k * TALL + 1.5, broad - 2, TALL - 3);
    };
    for (const [k, s] of now) ring(k, s, "--hear", 3);
    if (over) ring(over[0], over[1], "--soft", 2);
    if (at) { ring(at[0], at[1], "--card", 5); ring(at[0], at[1], "--ink", 2.5); }
  };
  const cell = (k, s, x, y, colour) => {
    const role = data.rows[k].role[s], w = broad - 3, h = TALL - 6, text = label(k, s);
    x += 1.5; y += 3;
    if (role === "0") { hatch(x, y, w, h, colour("--edge")); return; }
    pen.fillStyle = colour(role === "2" ? "--predict" : "--given"); pen.fillRect(x, y, w, h);
    if (role === "1") { pen.strokeStyle = colour("--given-edge"); pen.lineWidth = 1; pen.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1); }
    if (broad < 0.7 * natural) return;
    pen.fillStyle = colour(role === "2" ? "--on-predict" : "--ink"); pen.font = FONT;
    pen.fillText(text, x + w / 2, y + h / 2 + 1);
  };

  const tell = ([k, s]) => {
    const row = data.rows[k], kind = row.kind[s], role = row.role[s], name = row.stream[s] < 0 ? null : data.streams[row.stream[s]];
    const roles = { 0: "absent: padding, not in the loss", 1: "given: read, not in the loss", 2: "predicted: in the loss" };
    const kinds = { i: `item ${row.item[s]}`, "]": "its end", "@": "the mark that goes on with it", "=": "a fixed symbol", ".": "nothing" };
    const parts = [`row ${row.name}, step ${s}`, name === null ? (kind === "]" ? "the end of the block" : "nothing here") : `stream ${name}, ${kinds[kind]}`];
    if (role !== "0") parts.push(`symbol ${row.symbol[s]}`);
    parts.push(`token ${row.token[s]}`, roles[role]);
    const weight = row.weight === null ? null : one(row.weight, s);
    if (role === "2" && weight !== null) parts.push(`weight ${weight}`);
    if (one(row.delay, s)) parts.push(`${one(row.delay, s)} step${one(row.delay, s) > 1 ? "s" : ""} late`);
    const second = clock(k, s);
    if (second !== null) parts.push(`begins at ${second.toFixed(3)} s`);
    return parts.join(" · ");
  };
  const say = (cell) => { detail.textContent = tell(cell); };
  const show = (s, share) => {
    const x = s * broad, width = wide.clientWidth;
    if (share !== undefined) wide.scrollLeft = x - share * width;
    else if (x < wide.scrollLeft) wide.scrollLeft = x - broad;
    else if (x + broad > wide.scrollLeft + width) wide.scrollLeft = x + 2 * broad - width;
  };
  const choose = (k, s) => { at = [Math.min(K - 1, Math.max(0, k)), Math.min(S - 1, Math.max(0, s))]; show(at[1]); say(at); draw(); };
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    const s = Math.floor((event.clientX - box.left + wide.scrollLeft) / broad), k = Math.floor((event.clientY - box.top - AXIS) / TALL);
    return k >= 0 && k < K && s >= 0 && s < S ? [k, s] : null;
  };
  canvas.addEventListener("pointermove", (event) => { over = point(event); if (over) say(over); draw(); });
  canvas.addEventListener("pointerleave", () => { over = null; if (at) say(at); draw(); });
  canvas.addEventListener("click", (event) => { const found = point(event); if (found) choose(...found); });
  canvas.addEventListener("dblclick", (event) => { const found = point(event); if (found) playFrom(found); });
  wide.addEventListener("focus", () => { if (!at && wide.matches(":focus-visible")) choose(0, Math.floor(wide.scrollLeft / broad)); });
  wide.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(wide.clientWidth / broad) - 1), [k, s] = at || [0, 0];
    const moves = { ArrowLeft: [k, s - 1], ArrowRight: [k, s + 1], ArrowUp: [k - 1, s], ArrowDown: [k + 1, s],
      PageUp: [k, s - page], PageDown: [k, s + page], Home: [k, 0], End: [k, S - 1] };
    if (moves[event.key]) choose(...moves[event.key]);
    else if (event.key === "Enter" && at) playFrom(at);
    else if (event.key === " ") toggle();
    else return;
    event.preventDefault();
  });
  wide.addEventListener("scroll", draw);
  new ResizeObserver(draw).observe(wide);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  const zoom = (factor) => {
    const middle = (wide.scrollLeft + wide.clientWidth / 2) / broad;
    broad = Math.min(3 * natural, Math.max(4, broad * factor)); draw(); wide.scrollLeft = middle * broad - wide.clientWidth / 2;
  };
  find(".in").addEventListener("click", () => zoom(1.4));
  find(".out").addEventListener("click", () => zoom(1 / 1.4));
  if (!audio) { find(".bar").hidden = true; draw(); continue; }
  const play = find(".play");
  function toggle() { if (!audio) return; if (audio.paused) audio.play(); else audio.pause(); }
  function playFrom([k, s]) {
    if (!audio) return;
    const second = clock(k, s) ?? starts[s];
    if (second !== null) { audio.currentTime = second; audio.play(); }
  }
  const move = () => {
    const t = audio.currentTime;
    find(".clock").textContent = t.toFixed(2) + " s";
    now = t > 0 && t < whole() ? sounding(t) : [];
    if (now.length && find(".follow").checked && !audio.paused) show(Math.min(...now.map((cell) => cell[1])), 0.33);
    draw();
    if (!audio.paused) requestAnimationFrame(move);
  };
  play.addEventListener("click", toggle);
  for (const event of ["play", "pause", "seeked", "ended"]) audio.addEventListener(event, () => {
    play.textContent = audio.paused ? "Play" : "Pause"; move();
  });
  draw();
}
