"use strict";
// The status page: keeps what the proxy tells over server-sent events, and shows the rows that fit the search.

const MINUTES = 60;
// Rows of a list before "more" is pressed.
const FIRST_ROWS = 40;
const MORE_ROWS = 200;
// A hidden page is disconnected after this time.
const HIDDEN_MS = 60_000;
const AGAIN_MS = 5_000;

const at = (id) => document.getElementById(id);

/* What the proxy has told. */

const state = {
  process: {},
  sites: new Map(),
  names: new Map(),
  upstreams: new Map(),
  checks: new Map(),
  refusals: new Map(),
  site_minutes: new Map(),
  minutes: [],
  events: [],
  names_left_out: 0,
};
let renewalKey = null;
let version = null;

const SECTIONS = ["sites", "names", "upstreams", "checks", "refusals"];
// The list that shows a section, if that has another name.
const LIST_OF = { checks: "upstreams" };

function takeWhole(told) {
  for (const section of [...SECTIONS, "site_minutes"]) {
    state[section] = new Map(Object.entries(told[section]));
  }
  state.process = told.process;
  state.minutes = told.minutes;
  state.events = told.events;
  state.names_left_out = told.names_left_out;
  if (version !== null && version !== told.process.version) {
    // Another version of the proxy has another page.
    location.reload();
  }
  version = told.process.version;
}

function takeChanges(told) {
  const changed = new Set();
  state.process = told.process;
  for (const section of SECTIONS) {
    for (const [name, row] of Object.entries(told[section] ?? {})) {
      if (row === null) {
        state[section].delete(name);
      } else {
        state[section].set(name, row);
      }
      changed.add(LIST_OF[section] ?? section);
    }
  }
  if (told.events) {
    state.events = [...state.events, ...told.events].slice(-100);
    changed.add("events");
  }
  state.names_left_out = told.names_left_out ?? state.names_left_out;
  if (told.ends_minute) {
    endMinute();
    changed.add("sites");
  }
  return changed;
}

// Counts the running minutes among those that have ended.
function endMinute() {
  push(state.minutes, state.process.minute);
  for (const name of state.site_minutes.keys()) {
    if (!state.sites.has(name)) {
      state.site_minutes.delete(name);
    }
  }
  for (const [name, row] of state.sites) {
    const minutes = state.site_minutes.get(name) ?? [];
    if (minutes.length > 0 || row.minute) {
      push(minutes, row.minute ?? [0, 0, 0]);
      state.site_minutes.set(name, minutes);
    }
    row.minute = undefined;
  }
  state.process.minute = [0, 0, 0];
}

function push(minutes, minute) {
  minutes.push(minute);
  if (minutes.length > MINUTES) {
    minutes.shift();
  }
}

/* Numbers and times in words. */

const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always" });

// A count in full, unless it is too long for that.
function count(whole) {
  return whole < 100_000 ? whole.toLocaleString("en") : number.format(whole);
}

function rate(perSecond) {
  if (!perSecond) {
    return "–";
  }
  return perSecond < 0.095 ? "<0.1/s" : `${number.format(perSecond)}/s`;
}

function share(part) {
  if (part === undefined || part === null) {
    return "–";
  }
  const percent = part * 100;
  return `${percent > 0 && percent < 0.1 ? "<0.1" : number.format(percent)} %`;
}

function duration(seconds) {
  if (seconds === undefined || seconds === null) {
    return "–";
  }
  return seconds < 0.9995 ? `${number.format(seconds * 1000)} ms` : `${number.format(seconds)} s`;
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let left = count ?? 0;
  let unit = 0;
  while (left >= 1000 && unit < units.length - 1) {
    left /= 1024;
    unit += 1;
  }
  return `${left < 10 && unit > 0 ? left.toFixed(1) : Math.round(left)} ${units[unit]}`;
}

function uptime(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  let left = seconds;
  const words = [];
  for (const [length, word] of parts) {
    if (left >= length && words.length < 2) {
      words.push(`${Math.floor(left / length)} ${word}`);
      left %= length;
    }
  }
  return words.join(" ") || "0 s";
}

function fromNow(moment) {
  const seconds = (moment - Date.now()) / 1000;
  for (const [length, word] of [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]]) {
    if (Math.abs(seconds) >= length * 1.5 || length === 1) {
      return relative.format(Math.round(seconds / length), word);
    }
  }
}

// The format of a moment: with its time if it is near.
function nearOrDay(moment) {
  return Math.abs(moment - Date.now()) < 10 * 86_400_000 ? dateTime : day;
}

function utc(moment) {
  return `${moment.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

// A moment in local time, with UTC as its title.
function timeElement(moment, format) {
  const time = document.createElement("time");
  time.dateTime = moment.toISOString();
  time.title = utc(moment);
  time.textContent = format.format(moment);
  return time;
}

const TIMES = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g;

// Shows a sentence of the proxy, with its times in local time.
function showSentence(element, sentence) {
  const parts = [];
  let end = 0;
  for (const found of sentence.matchAll(TIMES)) {
    const moment = new Date(found[0]);
    if (Number.isNaN(moment.getTime())) {
      continue;
    }
    parts.push(sentence.slice(end, found.index), timeElement(moment, dateTime));
    end = found.index + found[0].length;
  }
  element.replaceChildren(...parts, sentence.slice(end));
}

/* Elements. */

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) {
    element.className = className;
  }
  element.append(...children);
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

function makeSvg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  return element;
}

const BADGES = { served: "good", "from-files": "good", up: "good", waiting: "", ordering: "warn", "slow-start": "warn", held: "warn", ejected: "bad" };

function showBadge(badge, word) {
  setText(badge, word.replace("-", " "));
  badge.className = `badge ${BADGES[word] ?? "bad"}`;
}

/* Charts: a bar for each of the last 60 minutes, and one for the running minute. */

function makeChart(kind) {
  const svg = makeSvg("svg", { viewBox: `0 0 ${MINUTES + 1} 20`, preserveAspectRatio: "none", role: "img", class: "chart" });
  const path = makeSvg("path", { class: `bar-${kind}` });
  svg.append(path);
  return { svg, path };
}

function showChart(chart, minutes, running, value, label) {
  const all = [...minutes, running ?? [0, 0, 0]];
  const values = all.map(value);
  const most = Math.max(...values);
  const start = MINUTES + 1 - values.length;
  const bars = values.map((height, index) => {
    if (height <= 0) {
      return "";
    }
    const top = Math.max((height / most) * 19, 0.8).toFixed(2);
    return `M${start + index} 20v-${top}h.8v${top}z`;
  });
  const drawn = bars.join("");
  if (chart.drawn !== drawn) {
    chart.drawn = drawn;
    chart.path.setAttribute("d", drawn);
  }
  const words = label(all, most);
  if (chart.words !== words) {
    chart.words = words;
    chart.svg.setAttribute("aria-label", words);
  }
  return most;
}

const sum = (minutes, index) => minutes.reduce((total, minute) => total + minute[index], 0);

const CHARTS = {
  requests: [(minute) => minute[0], (all, most) => `${count(sum(all, 0))} requests in the last hour, at most ${count(most)} in a minute`],
  errors: [(minute) => minute[1], (all, most) => `${count(sum(all, 1))} errors in the last hour, at most ${count(most)} in a minute`],
  p95: [(minute) => minute[2], (_, most) => (most > 0 ? `95 % of the requests of each minute took at most ${duration(most / 1e6)}` : "no requests in the last hour")],
};

/* Lists, of which only the first rows are in the document. */

class List {
  // `keys` returns the names of the rows that fit the search, in order. `create` makes an element with a function `show`.
  constructor(id, keys, create) {
    this.body = at(`${id}-rows`);
    this.none = at(`${id}-none`);
    this.more = at(`${id}-more`);
    this.keys = keys;
    this.create = create;
    this.rows = new Map();
    this.limit = FIRST_ROWS;
    this.more.addEventListener("click", () => {
      const first = this.limit;
      this.limit += MORE_ROWS;
      this.show();
      const row = this.body.children[first];
      if (row) {
        row.tabIndex = -1;
        row.focus();
      }
    });
  }

  show() {
    const keys = this.keys();
    const shown = keys.slice(0, this.limit);
    const wanted = new Set(shown);
    for (const [key, row] of this.rows) {
      if (!wanted.has(key)) {
        row.remove();
        this.rows.delete(key);
      }
    }
    const focused = document.activeElement;
    let next = this.body.firstElementChild;
    for (const key of shown) {
      let row = this.rows.get(key);
      if (!row) {
        row = this.create(key);
        this.rows.set(key, row);
      }
      row.show();
      if (row === next) {
        next = next.nextElementSibling;
      } else {
        this.body.insertBefore(row, next);
      }
    }
    if (focused !== document.activeElement && focused.isConnected) {
      focused.focus({ preventScroll: true });
    }
    this.none.hidden = keys.length > 0;
    const left = keys.length - shown.length;
    this.more.hidden = left <= 0;
    setText(this.more, `Show ${count(Math.min(left, MORE_ROWS))} of ${count(left)} more`);
  }
}

let wantedText = "";
const fits = (...texts) => wantedText === "" || texts.some((text) => text.toLowerCase().includes(wantedText));
const byName = (one, other) => one.localeCompare(other);

/* Sites. The order changes only with the search, each minute, or when it is chosen. */

const ORDERS = {
  busy: (row, minutes) => sum(minutes, 0) + (row.minute?.[0] ?? 0),
  errors: (row, minutes) => sum(minutes, 1) + (row.minute?.[1] ?? 0),
  slow: (row) => row.p95 ?? 0,
};
let siteOrder = null;

function siteKeys() {
  if (siteOrder === null) {
    const order = ORDERS[at("order").value];
    const names = [...state.sites.keys()].sort(byName);
    if (order) {
      const weights = new Map(names.map((name) => [name, order(state.sites.get(name), state.site_minutes.get(name) ?? [])]));
      names.sort((one, other) => weights.get(other) - weights.get(one));
    }
    siteOrder = names;
  }
  return siteOrder.filter((name) => state.sites.has(name) && fits(name));
}

function measure(label, kind) {
  const chart = makeChart(kind);
  const text = make("span");
  const cell = make("td", "measured", make("div", "measure", chart.svg, text));
  cell.dataset.label = label;
  cell.setAttribute("role", "cell");
  return { cell, chart, text };
}

function plainCell(label) {
  const cell = make("td", "number");
  cell.dataset.label = label;
  cell.setAttribute("role", "cell");
  return cell;
}

function createSite(name) {
  const title = make("th", "", name);
  title.scope = "row";
  title.setAttribute("role", "rowheader");
  const measures = [measure("Requests", "requests"), measure("Errors", "errors"), measure("Latency", "p95")];
  const [running, traffic] = [plainCell("Running"), plainCell("In / out")];
  const row = make("tr", "", title, ...measures.map((it) => it.cell), running, traffic);
  row.setAttribute("role", "row");
  row.show = () => {
    const site = state.sites.get(name);
    const minutes = state.site_minutes.get(name) ?? [];
    const kinds = ["requests", "errors", "p95"];
    kinds.forEach((kind, index) => showChart(measures[index].chart, minutes, site.minute, ...CHARTS[kind]));
    setText(measures[0].text, rate(site.per_second));
    setText(measures[1].text, share(site.error_share));
    setText(measures[2].text, duration(site.p95));
    measures[2].cell.title = `5 minutes: half within ${duration(site.p50)}, 95 % within ${duration(site.p95)}, 99 % within ${duration(site.p99)}`;
    setText(running, String(site.in_flight ?? 0));
    setText(traffic, `${bytes(site.received_bytes)} / ${bytes(site.sent_bytes)}`);
  };
  return row;
}

/* Certificates. */

function nameKeys() {
  const names = [...state.names.keys()].filter((name) => fits(name, state.names.get(name).issuer ?? ""));
  const urgency = (name) => {
    const row = state.names.get(name);
    return [row.needs_attention ? 0 : 1, row.renew_at ?? row.not_after ?? ""];
  };
  const urgencies = new Map(names.map((name) => [name, urgency(name)]));
  return names.sort((one, other) => {
    const [first, second] = [urgencies.get(one), urgencies.get(other)];
    return first[0] - second[0] || first[1].localeCompare(second[1]) || byName(one, other);
  });
}

function createTimeline() {
  const svg = makeSvg("svg", { viewBox: "0 0 1000 10", preserveAspectRatio: "none", role: "img" });
  const parts = ["line-valid", "line-renewal", "line-now"].map((name) => makeSvg("rect", { class: name, y: 0, height: 10 }));
  svg.append(...parts);
  const place = (part, from, to) => {
    part.setAttribute("x", from);
    part.setAttribute("width", Math.max(to - from, 0));
  };
  const show = (row) => {
    const has = Boolean(row.not_before && row.not_after);
    svg.toggleAttribute("hidden", !has);
    if (!has) {
      return;
    }
    const [issued, end] = [Date.parse(row.not_before), Date.parse(row.not_after)];
    const renewal = row.renew_at ? Math.min(Math.max(Date.parse(row.renew_at), issued), end) : end;
    const x = (moment) => Math.round(((Math.min(Math.max(moment, issued), end) - issued) / (end - issued)) * 1000);
    place(parts[0], 0, x(renewal));
    place(parts[1], x(renewal), 1000);
    place(parts[2], Math.min(x(Date.now()), 994), Math.min(x(Date.now()), 994) + 6);
    const words = [`issued ${day.format(issued)}`];
    if (row.renew_at) {
      words.push(`to be renewed from ${day.format(renewal)}`);
    }
    words.push(`expires ${day.format(end)}`);
    svg.setAttribute("aria-label", words.join(", "));
  };
  return { svg, show };
}

function createName(name) {
  const badge = make("span", "badge");
  const until = make("span", "until small");
  const sentence = make("span", "sentence");
  const timeline = createTimeline();
  const act = make("span", "act");
  const button = make("button", "", "Renew now");
  button.type = "button";
  button.setAttribute("aria-label", `Renew the certificate of ${name} now`);
  button.addEventListener("click", () => askToRenew(name, button));
  act.append(button);
  const row = make("li", "", badge, make("span", "name", name), make("span", "timeline", timeline.svg), until, act, sentence);
  row.show = () => {
    const told = state.names.get(name);
    const isNew = row.told !== told;
    row.told = told;
    button.hidden = renewalKey === null || told.state === "from-files";
    timeline.show(told);
    if (!isNew) {
      return;
    }
    showBadge(badge, told.state);
    until.replaceChildren();
    if (told.not_after) {
      const end = new Date(told.not_after);
      until.append("until ", timeElement(end, nearOrDay(end)), `, ${fromNow(end)}`);
    }
    if (told.renew_at && told.state !== "from-files") {
      const renewal = new Date(told.renew_at);
      until.append(make("br"), "renewal ", timeElement(renewal, nearOrDay(renewal)));
    }
    sentence.hidden = told.state === "served" && !told.needs_attention;
    showSentence(sentence, told.standing);
    row.title = told.issuer ? `signed by ${told.issuer}` : "";
  };
  return row;
}

/* Backends. */

const isOut = (backend) => backend.state === "down" || backend.state === "ejected";

function upstreamKeys() {
  const names = [...state.upstreams.keys()];
  const fitting = names.filter((name) => fits(name, ...state.upstreams.get(name).backends.map((backend) => backend.address)));
  const out = new Set(fitting.filter((name) => state.upstreams.get(name).backends.some(isOut)));
  return fitting.sort((one, other) => out.has(other) - out.has(one) || byName(one, other));
}

function createUpstream(name) {
  const title = make("span", "name", name);
  const queued = make("span", "small");
  const backends = make("div");
  const row = make("li", "", make("div", "", title, " ", queued), backends);
  row.show = () => {
    const told = state.upstreams.get(name);
    const checks = state.checks.get(name);
    if (row.told === told && row.checks === checks) {
      return;
    }
    row.told = told;
    row.checks = checks;
    setText(queued, told.queued > 0 ? `${told.queued} requests wait` : "");
    backends.replaceChildren(...told.backends.map((backend, index) => makeBackend(backend, checks?.[index])));
  };
  return row;
}

// `checked` is the time of the last health check, if there was one.
function makeBackend(backend, checked) {
  const badge = make("span", "badge");
  showBadge(badge, backend.state);
  const numbers = [
    [rate(backend.per_second), "requests"],
    [share(backend.error_share), "errors"],
    [duration(backend.p95), "p95"],
    [String(backend.in_flight), "running"],
  ];
  const cells = numbers.map(([value, word]) => make("span", "number", value, " ", make("span", "small", word)));
  const check = make("span", "small", checked ? "checked " : "not checked");
  if (checked) {
    check.append(timeElement(new Date(checked), clock));
  }
  const row = make("div", "backend", badge, make("span", "address", backend.address), ...cells, check);
  if (backend.reason) {
    const again = backend.retry_in === undefined ? "" : `; tried again in ${backend.retry_in} s`;
    row.append(make("span", "sentence", backend.reason + again));
  }
  return row;
}

/* What needs attention. */

function problems() {
  const found = new Map();
  for (const [name, row] of state.names) {
    if (row.needs_attention && row.state !== "ordering") {
      found.set(`certificate ${name}`, { word: row.state, name, sentence: row.standing });
    }
  }
  for (const [name, upstream] of state.upstreams) {
    for (const backend of upstream.backends.filter(isOut)) {
      found.set(`backend ${name} ${backend.address}`, { word: backend.state, name: `${backend.address} of ${name}`, sentence: backend.reason ?? "it gets no requests" });
    }
  }
  for (const [name, row] of state.sites) {
    if (row.error_share >= 0.05) {
      found.set(`site ${name}`, { word: "errors", name, sentence: `${share(row.error_share)} of the responses of the last 5 minutes had status 5xx` });
    }
  }
  return found;
}

let attention = new Map();

function createProblem(key) {
  const [badge, title, sentence] = [make("span", "badge"), make("span", "name"), make("span", "sentence")];
  const row = make("li", "", badge, title, sentence);
  row.show = () => {
    const problem = attention.get(key);
    if (row.told === problem.sentence + problem.word) {
      return;
    }
    row.told = problem.sentence + problem.word;
    showBadge(badge, problem.word);
    setText(title, problem.name);
    showSentence(sentence, problem.sentence);
  };
  return row;
}

/* Refusals and events. */

function refusalKeys() {
  const rows = [...state.refusals].sort(([, one], [, other]) => other.last_hour - one.last_hour || other.count - one.count);
  return rows.map(([reason]) => reason);
}

function createRefusal(reason) {
  const title = make("th", "", reason);
  title.scope = "row";
  title.setAttribute("role", "rowheader");
  const cells = [make("td", "number"), make("td", "number"), make("td", "small")];
  cells.forEach((cell) => cell.setAttribute("role", "cell"));
  const row = make("tr", "", title, ...cells);
  row.setAttribute("role", "row");
  row.show = () => {
    const told = state.refusals.get(reason);
    setText(cells[0], count(told.last_hour));
    setText(cells[1], count(told.count));
    cells[2].replaceChildren(told.last_at ? timeElement(new Date(told.last_at * 1000), clock) : "–");
  };
  return row;
}

function createEvent(key) {
  const event = eventKeys.get(key);
  const sentence = make("span");
  showSentence(sentence, event.sentence);
  const badge = make("span", `badge ${event.is_bad ? "bad" : "good"}`, timeElement(new Date(event.at * 1000), clock));
  const row = make("li", "", badge, make("span", "sentence", make("span", "name", `${event.subject}:`), " ", sentence));
  row.show = () => {};
  return row;
}

let eventKeys = new Map();

function newestEvents() {
  const fitting = state.events.filter((event) => fits(event.subject, event.sentence));
  eventKeys = new Map(fitting.reverse().map((event) => [`${event.at} ${event.subject} ${event.sentence}`, event]));
  return [...eventKeys.keys()];
}

/* The page. */

const lists = {
  attention: new List("attention", () => [...attention.keys()].filter((key) => fits(key)), createProblem),
  sites: new List("sites", siteKeys, createSite),
  names: new List("names", nameKeys, createName),
  upstreams: new List("upstreams", upstreamKeys, createUpstream),
  refusals: new List("refusals", refusalKeys, createRefusal),
  events: new List("events", newestEvents, createEvent),
};

const totals = Object.fromEntries(Object.keys(CHARTS).map((kind) => {
  const chart = makeChart(kind);
  at(`chart-${kind}`).append(chart.svg);
  return [kind, chart];
}));

function showProcess() {
  const told = state.process;
  setText(at("process"), `version ${told.version}, up for ${uptime(told.uptime_seconds)}`);
  for (const [kind, chart] of Object.entries(totals)) {
    const most = showChart(chart, state.minutes, told.minute, ...CHARTS[kind]);
    const words = kind === "p95" ? duration(most / 1e6) : `${count(most)}/min`;
    setText(at(`most-${kind}`), most > 0 ? `at most ${words}` : "");
  }
  let perSecond = 0;
  let errors = 0;
  for (const row of state.sites.values()) {
    perSecond += row.per_second ?? 0;
    errors += row.minute?.[1] ?? 0;
  }
  const last = [...state.minutes.slice(-1), told.minute].reverse().find((minute) => minute?.[0] > 0);
  setText(at("total-requests"), rate(perSecond));
  setText(at("total-errors"), count(sum(state.minutes, 1) + errors));
  setText(at("total-p95"), last ? duration(last[2] / 1e6) : "–");
  const refused = [...state.refusals.values()].reduce((total, row) => total + row.last_hour, 0);
  const open = told.protocols.filter((it) => it.open > 0).map((it) => `${count(it.open)} ${it.protocol}`);
  showNumbers([
    ["Sites", count(told.sites)],
    ["Connections", count(told.connections), open.join(", ")],
    ["Certificates", count(told.certificates.in_memory)],
    ["Missing", count(told.certificates.names_without)],
    ["Refused in 1 h", count(refused)],
    ["TLS, full", count(handshakes(told, "full")), "handshakes since the start"],
    ["TLS, resumed", count(handshakes(told, "resumed")), "handshakes since the start"],
    ["TLS, failed", count(handshakes(told, "failed")), "handshakes since the start"],
    ["Listening", told.listeners.map((it) => it.address).join(", ")],
  ]);
}

// TLS handshakes with this result since the start, of all versions.
function handshakes(told, result) {
  return told.handshakes.filter((it) => it.result === result).reduce((total, it) => total + it.count, 0);
}

function showNumbers(numbers) {
  const list = at("numbers");
  numbers.forEach(([word, value, title], index) => {
    const term = list.children[index * 2] ?? list.appendChild(make("dt"));
    const detail = list.children[index * 2 + 1] ?? list.appendChild(make("dd"));
    setText(term, word);
    setText(detail, value);
    detail.title = title ?? "";
  });
}

function showCounts() {
  setText(at("attention-count"), count(attention.size));
  setText(at("sites-count"), count(state.sites.size));
  setText(at("names-count"), count(state.names.size + state.names_left_out));
  setText(at("upstreams-count"), count([...state.upstreams.values()].reduce((total, it) => total + it.backends.length, 0)));
  at("names-left-out").hidden = state.names_left_out === 0;
  setText(at("names-left-out"), `${count(state.names_left_out)} more names are not listed; proxy certs list shows all.`);
  document.title = attention.size > 0 ? `(${attention.size}) proxy` : "proxy";
}

// Sections that are to be shown again, at the next frame.
let due = null;

function showSoon(sections) {
  if (due === null) {
    due = new Set();
    requestAnimationFrame(show);
  }
  sections.forEach((section) => due.add(section));
}

function show() {
  const sections = due;
  due = null;
  attention = problems();
  showProcess();
  showCounts();
  lists.attention.show();
  for (const section of sections) {
    lists[section].show();
  }
}

const ALL = Object.keys(lists);

/* The stream of events. */

let source = null;

function setConnection(word, text) {
  at("connection").dataset.state = word;
  setText(at("connection"), text);
}

function connect() {
  source?.close();
  const stream = new EventSource("events");
  source = stream;
  stream.addEventListener("access", (event) => {
    renewalKey = JSON.parse(event.data).renewal_key;
  });
  stream.addEventListener("whole", (event) => {
    takeWhole(JSON.parse(event.data));
    siteOrder = null;
    setConnection("live", "live");
    showSoon(ALL);
  });
  stream.addEventListener("changes", (event) => {
    const told = JSON.parse(event.data);
    if (told.ends_minute || Object.values(told.sites ?? {}).includes(null)) {
      siteOrder = null;
    }
    const before = state.sites.size;
    const changed = takeChanges(told);
    if (state.sites.size !== before) {
      siteOrder = null;
    }
    showSoon(changed);
  });
  stream.addEventListener("error", () => {
    if (stream !== source) {
      return;
    }
    if (stream.readyState === EventSource.CLOSED) {
      explain(stream);
      setTimeout(connectAgain, AGAIN_MS);
    } else {
      setConnection("lost", "disconnected");
    }
  });
}

// Shows why the proxy has refused the stream, which EventSource does not tell.
async function explain(refused) {
  const request = new AbortController();
  let reason = "disconnected";
  try {
    const answer = await fetch("events", { signal: request.signal });
    if (answer.status === 503) {
      reason = (await answer.text()).trim();
    }
  } catch {
    // The proxy is not there.
  }
  request.abort();
  if (refused === source) {
    setConnection("lost", reason);
  }
}

// Connects again, or shows the form for the token if that is needed.
async function connectAgain() {
  if (document.hidden) {
    source = null;
    return;
  }
  try {
    const answer = await fetch(".", { method: "HEAD" });
    if (answer.status === 401) {
      location.reload();
      return;
    }
  } catch {
    // The proxy is not there. The stream says so too, and tries again.
  }
  connect();
}

let hiding = null;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) {
    hiding = setTimeout(() => {
      source?.close();
      source = null;
      setConnection("waiting", "paused");
    }, HIDDEN_MS);
  } else if (source === null) {
    setConnection("waiting", "connecting");
    connect();
  }
});

/* Search and order. */

at("search").addEventListener("input", (event) => {
  wantedText = event.target.value.trim().toLowerCase();
  for (const list of Object.values(lists)) {
    list.limit = FIRST_ROWS;
  }
  showSoon(ALL);
});
at("order").addEventListener("change", () => {
  siteOrder = null;
  showSoon(["sites"]);
});
document.addEventListener("keydown", (event) => {
  const isWriting = event.target.closest("input, select, dialog");
  if (event.key === "/" && !isWriting && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    at("search").focus();
  }
});

/* Renewals. */

const dialog = at("renewal");
let asked = null;

function askToRenew(name, button) {
  asked = { name, button };
  setText(at("renewal-name"), name);
  dialog.returnValue = "cancel";
  dialog.showModal();
  at("renewal-cancel").focus();
}

dialog.addEventListener("close", () => {
  if (dialog.returnValue === "renew") {
    renew(asked.name, asked.button);
  }
});

let saying = null;

function say(sentence) {
  showSentence(at("said"), sentence);
  clearTimeout(saying);
  saying = setTimeout(() => at("said").replaceChildren(), 20_000);
}

async function renew(name, button) {
  button.disabled = true;
  say(`The certificate of ${name} is being renewed.`);
  try {
    const answer = await fetch("renew", {
      method: "POST",
      headers: { "x-renewal-key": renewalKey },
      body: new URLSearchParams({ name }),
    });
    const text = await answer.text();
    if (answer.headers.get("content-type") === "application/json") {
      const { done, error } = JSON.parse(text);
      say(done ?? error);
    } else {
      say(text);
    }
  } catch {
    say("The connection to the proxy broke off. The renewal goes on; see the certificate for its result.");
  } finally {
    button.disabled = false;
  }
}

connect();
