// SPDX-License-Identifier: Apache-2.0
// The console: live values with search and trend, devices, processes. Plain script, no dependencies; values come over the
// WebSocket, the rest by polling. Everything shown is set as text, never as markup.
'use strict';

const $ = (id) => document.getElementById(id);
const rows = new Map(); // tag path → its row and newest value
let selected = null;

async function get(path) {
  const reply = await fetch(path);
  if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
  return reply.json();
}

function cell(row, text, kind) {
  const td = row.insertCell();
  td.textContent = text;
  if (kind) td.className = kind;
  return td;
}

function severity(status) {
  return status.startsWith('Bad') ? 'bad' : status.startsWith('Uncertain') ? 'uncertain' : '';
}

function shown(value) {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'number' && !Number.isInteger(value)) return String(Number(value.toPrecision(6)));
  return String(value);
}

function age(ms) {
  const s = ms / 1000;
  return s < 1 ? 'now' : s < 120 ? `${Math.round(s)} s` : s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
}

function addTag(v) {
  const tr = document.createElement('tr');
  tr.tabIndex = 0;
  const entry = { tr, time: v.time ? Date.parse(v.time) : 0 };
  cell(tr, v.tag);
  entry.value = cell(tr, shown(v.value), 'number');
  cell(tr, v.unit || '');
  entry.status = cell(tr, v.status, severity(v.status));
  entry.age = cell(tr, '', 'number');
  entry.unit = v.unit || '';
  tr.addEventListener('click', () => select(v.tag));
  tr.addEventListener('keydown', (e) => {
    if (e.key === 'Enter') select(v.tag);
    const next = e.key === 'ArrowDown' ? tr.nextElementSibling : e.key === 'ArrowUp' ? tr.previousElementSibling : null;
    if (next) { next.focus(); e.preventDefault(); }
  });
  rows.set(v.tag, entry);
  $('tags').append(tr);
}

function update(v) {
  const entry = rows.get(v.tag);
  if (!entry) return;
  entry.value.textContent = shown(v.value);
  entry.status.textContent = v.status;
  entry.status.className = severity(v.status);
  entry.time = Date.parse(v.time);
}

function search() {
  const words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const [tag, entry] of rows) {
    const hit = words.every((w) => tag.toLowerCase().includes(w));
    entry.tr.hidden = !hit;
    count += hit;
  }
  $('count').textContent = `${count} of ${rows.size} tags`;
}

async function select(tag) {
  if (selected) rows.get(selected).tr.removeAttribute('aria-selected');
  selected = tag;
  $('trend').hidden = !tag;
  if (!tag) return;
  rows.get(tag).tr.setAttribute('aria-selected', 'true');
  $('trend-name').textContent = `${tag}, last 15 minutes`;
  await drawTrend();
}

async function drawTrend() {
  const to = Date.now(), from = to - 15 * 60000;
  const target = `/api/v1/history?tag=${encodeURIComponent(selected)}&points=500&from=${new Date(from).toISOString()}`;
  const reply = await get(target);
  const points = reply.samples.map((s) => ({ t: Date.parse(s.time), v: s.value === null ? null : Number(s.value) }));
  const values = points.filter((p) => p.v !== null && Number.isFinite(p.v)).map((p) => p.v);
  const canvas = $('plot'), ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  const g = canvas.getContext('2d'), style = getComputedStyle(document.documentElement);
  g.scale(ratio, ratio);
  const width = canvas.clientWidth - 70, height = canvas.clientHeight - 30;
  let low = Math.min(...values), high = Math.max(...values);
  if (!values.length) return;
  if (low === high) { low -= 1; high += 1; }
  g.font = '12px system-ui, sans-serif';
  g.fillStyle = style.getPropertyValue('--quiet');
  g.fillText(shown(high), 4, 14);
  g.fillText(shown(low), 4, height + 4);
  g.fillText(new Date(from).toLocaleTimeString(), 60, height + 22);
  g.fillText(new Date(to).toLocaleTimeString(), width, height + 22);
  g.strokeStyle = style.getPropertyValue('--accent');
  g.lineWidth = 1.5;
  g.beginPath();
  let pen = false, before = 0;
  const steps = points.slice(1).map((p, i) => p.t - points[i].t).sort((a, b) => a - b);
  const hole = 10 * (steps[steps.length >> 1] || 1000); // no line over a stretch without samples
  for (const p of points) {
    if (p.t - before > hole) pen = false;
    before = p.t;
    if (p.v === null || !Number.isFinite(p.v)) { pen = false; continue; } // bad: a visible gap
    const x = 60 + (p.t - from) / (to - from) * width, y = 8 + (high - p.v) / (high - low) * (height - 12);
    if (pen) g.lineTo(x, y); else g.moveTo(x, y);
    pen = true;
  }
  g.stroke();
}

function say(text, bad) {
  $('state').textContent = text;
  $('state').className = bad ? 'bad' : '';
}

async function loadAll() {
  const [gateway, now] = await Promise.all([get('/api/v1/gateway'), get('/api/v1/now')]);
  $('name').textContent = gateway.name;
  document.title = `${gateway.name} – Isthmus`;
  $('tags').replaceChildren();
  rows.clear();
  now.values.forEach(addTag);
  search();
}

async function connect() {
  try {
    await loadAll();
  } catch (e) {
    say('the gateway does not answer; trying again', true);
    setTimeout(connect, 2000);
    return;
  }
  const socket = new WebSocket(`ws://${location.host}/api/v1/ws`);
  socket.onopen = () => {
    say('live');
    socket.send(JSON.stringify({ subscribe: { mode: 'latest' } }));
  };
  socket.onmessage = (m) => JSON.parse(m.data).forEach((r) => r.tag && 'value' in r && update(r));
  socket.onclose = () => {
    say('not connected: values are stale; trying again', true);
    setTimeout(connect, 2000);
  };
}

function table(id, list, cells) {
  const body = document.createElement('tbody');
  body.id = id;
  for (const item of list) {
    const tr = body.insertRow();
    for (const [text, kind] of cells(item)) cell(tr, text, kind);
  }
  $(id).replaceWith(body);
}

async function poll() {
  try {
    if (!$('devices').hidden) {
      table('device-rows', (await get('/api/v1/devices')).devices, (d) => [
        [d.name], [d.state, d.state === 'up' ? '' : 'bad'], [d.tags, 'number'], [`${(d.latency_us / 1000).toFixed(2)} ms`, 'number'],
        [d.requests, 'number'], [d.timeouts, 'number'], [d.exceptions, 'number'], [d.reason]]);
    }
    if (!$('processes').hidden) {
      table('process-rows', (await get('/api/v1/processes')).processes, (p) => [
        [p.name], [p.state, p.state === 'running' ? '' : 'bad'], [p.restarts, 'number'], [`${p.cpu_seconds.toFixed(2)} s`, 'number'],
        [`${(p.pss_bytes / 1e6).toFixed(1)} MB`, 'number'], [p.layers_missing.join(', ') || 'none'], [p.reason]]);
    }
    if (selected) await drawTrend();
  } catch (e) {
    // the state line tells already that nothing answers
  }
}

function tick() {
  const now = Date.now();
  for (const entry of rows.values()) {
    if (!entry.tr.hidden) {
      entry.age.textContent = entry.time ? age(now - entry.time) : '–';
      entry.age.classList.toggle('stale', now - entry.time > 10000);
    }
  }
}

for (const button of document.querySelectorAll('nav button')) {
  button.addEventListener('click', () => {
    for (const b of document.querySelectorAll('nav button')) {
      b.toggleAttribute('aria-current', b === button);
      $(b.dataset.page).hidden = b !== button;
    }
    poll();
  });
}
$('search').addEventListener('input', search);
$('trend-close').addEventListener('click', () => select(null));
window.addEventListener('resize', () => { if (selected) drawTrend().catch(() => {}); });
setInterval(tick, 1000);
setInterval(poll, 2000);
connect();
