// SPDX-License-Identifier: Apache-2.0
// Questions in SQL: the rows as a table, as a plot where they have times and numbers, and as a file. Each question runs
// in the gateway in a process of its own; to cancel it is to hang up.
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { csrfHeader } from './api';
import { plural, save, showCount } from './format';
import { Mark, useMedia } from './parts';
import { DASHES, timeLabels } from './plot';

type Cell = number | string | null;
interface Result { columns: string[]; rows: Cell[][]; more: boolean; error?: string }
interface Problem { title?: string; detail?: string; line?: number; column?: number }

const ROWS_SHOWN = 1000;
const ROWS_ASKED = 10_000;
const ROWS_SAVED = 1_000_000;
const LINES_MAX = 8;

const EXAMPLES: [string, string][] = [
  ['Current values', 'SELECT tag, value, unit, status, time\nFROM latest\nORDER BY tag'],
  ['What is bad now', "SELECT tag, status, time\nFROM latest\nWHERE quality <> 'good'"],
  ['Averages by the minute', "SELECT tag, time, value\nFROM sampled\nWHERE tag IN (SELECT tag FROM tags WHERE type LIKE 'float%' LIMIT 3)\n  AND time >= ago('1h') AND step = '1min' AND aggregate = 'average'"],
  ['Why values are missing', "SELECT cause, count(*) AS gaps, sum(missed) AS missed\nFROM gaps\nWHERE time > ago('1d')\nGROUP BY cause"],
  ['What there is to ask', 'SELECT * FROM columns'],
];

async function ask(text: string, more: string, signal: AbortSignal): Promise<Response> {
  const reply = await fetch(`/api/v1/sql?${more}`, { method: 'POST', body: text, headers: { 'Content-Type': 'text/plain', ...csrfHeader() }, signal });
  if (reply.ok) return reply;
  const problem = await reply.json().catch(() => ({})) as Problem;
  const where = problem.line === undefined ? '' : `Line ${problem.line}, column ${problem.column}: `;
  throw new Error(where + (problem.detail ?? problem.title ?? `HTTP ${reply.status}`));
}

// ---- The plot: a line for each column of numbers, or for each tag where there is one.

interface Lines { names: string[]; data: uPlot.AlignedData }

const isNumber = (rows: Cell[][], at: number): boolean =>
  rows.some((r) => typeof r[at] === 'number') && rows.every((r) => r[at] === null || typeof r[at] === 'number');

function linesOf({ columns, rows }: Result): Lines | null {
  const time = columns.indexOf('time');
  const tag = columns.indexOf('tag');
  const numbers = columns.map((_, i) => i).filter((i) => i !== time && isNumber(rows, i) && !['id', 'code', 'good', 'others'].includes(columns[i]!));
  if (time < 0 || numbers.length === 0 || rows.length < 2) return null;
  const lines = new Map<string, Map<number, number | null>>();
  const times = new Set<number>();
  for (const row of rows) {
    const t = Date.parse(String(row[time])) / 1000;
    if (!Number.isFinite(t)) return null;
    times.add(t);
    for (const at of numbers) {
      const name = tag < 0 ? columns[at]! : numbers.length === 1 ? String(row[tag]) : `${row[tag]} ${columns[at]}`;
      if (!lines.has(name) && lines.size === LINES_MAX) continue;
      if (!lines.has(name)) lines.set(name, new Map());
      lines.get(name)!.set(t, row[at] as number | null);
    }
  }
  const x = [...times].sort((a, b) => a - b);
  return { names: [...lines.keys()], data: [x, ...[...lines.values()].map((line) => x.map((t) => line.get(t)))] as uPlot.AlignedData };
}

function Plot({ lines }: { lines: Lines }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const dark = useMedia('(prefers-color-scheme: dark)');
  useEffect(() => {
    const place = box.current!;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(name);
    const axis = { stroke: colour('--quiet'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line'), width: 1 }, font: '12px system-ui, sans-serif' };
    const u = new uPlot({
      width: place.clientWidth, height: 280, legend: { show: false }, axes: [{ ...axis, values: timeLabels, space: 70 }, { ...axis, size: 58 }],
      series: [{}, ...lines.names.map((label, i) => ({ label, stroke: colour(`--s${i}`), width: 1.5, dash: DASHES[i], spanGaps: false, points: { show: lines.data[0].length < 60 } }))],
    }, lines.data, place);
    const resize = new ResizeObserver(() => u.setSize({ width: place.clientWidth, height: 280 }));
    resize.observe(place);
    return () => {
      resize.disconnect();
      u.destroy();
    };
  }, [lines, dark]);
  return (
    <figure class="lanes">
      <div role="img" aria-label={`Plot of ${lines.names.join(', ')}`} ref={box} />
      <figcaption class="quiet">
        {lines.names.map((name, i) => (
          <span key={name} class="line"><svg class={`swatch c${i}`} viewBox="0 0 28 8" aria-hidden="true"><path d="M0 4h28" stroke-dasharray={DASHES[i]!.join(' ') || undefined} /></svg> {name} </span>
        ))}
      </figcaption>
    </figure>
  );
}

// ---- The rows.

function Rows({ result }: { result: Result }): JSX.Element {
  const shown = result.rows.slice(0, ROWS_SHOWN);
  const numbers = result.columns.map((_, i) => isNumber(shown, i));
  return (
    <div class="rows">
      <table aria-label="Rows">
        <thead><tr>{result.columns.map((c, i) => <th key={i} scope="col" class={numbers[i] ? 'number' : ''}>{c}</th>)}</tr></thead>
        <tbody>
          {shown.map((row, r) => <tr key={r}>{row.map((cell, i) => <td key={i} data-head={result.columns[i]} class={numbers[i] ? 'number' : ''}><div>{cell === null ? <span class="quiet">–</span> : String(cell)}</div></td>)}</tr>)}
        </tbody>
      </table>
    </div>
  );
}

interface State { busy: boolean; result: Result | null; lines: Lines | null; ms: number; failed: string }
const IDLE: State = { busy: false, result: null, lines: null, ms: 0, failed: '' };

function summary({ busy, result, ms }: State): string {
  if (busy) return 'Asking …';
  if (!result) return '';
  const shown = result.rows.length > ROWS_SHOWN ? `, the first ${showCount(ROWS_SHOWN)} are shown` : '';
  return `${plural(result.rows.length, 'row')}${result.more ? ' and more' : ''}${shown}, ${ms.toFixed(0)} ms.`;
}

let kept = EXAMPLES[0]![1]; // what was typed, when one comes back to the page

export function SqlPage(): JSX.Element {
  const [text, setText] = useState(kept);
  const [state, set] = useState(IDLE);
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  const type = (value: string): void => setText(kept = value);
  const work = async (what: (signal: AbortSignal) => Promise<Partial<State>>): Promise<void> => {
    running.current?.abort();
    const mine = running.current = new AbortController();
    const start = performance.now();
    set((old) => ({ ...old, busy: true, failed: '' }));
    try {
      const done = await what(mine.signal);
      if (running.current === mine) set((old) => ({ ...old, busy: false, ms: performance.now() - start, ...done }));
    } catch (e) {
      if (running.current === mine) set((old) => ({ ...old, busy: false, failed: mine.signal.aborted ? 'Cancelled.' : (e as Error).message }));
    }
  };
  const run = (): Promise<void> => work(async (signal) => {
    const result = await (await ask(text, `limit=${ROWS_ASKED}`, signal)).json() as Result;
    return { result, lines: linesOf(result), failed: result.error ?? '' };
  });
  const download = (): Promise<void> => work(async (signal) => {
    save(await (await ask(text, `format=csv&limit=${ROWS_SAVED}`, signal)).blob(), 'isthmus.csv');
    return {};
  });
  return (
    <section aria-labelledby="sql-title" class="sql">
      <h2 id="sql-title">SQL</h2>
      <label class="quiet" for="statement">One SELECT over history, sampled, latest, tags, assets, events, gaps and ledger. Ctrl+Enter runs it.</label>
      <textarea id="statement" rows={6} spellcheck={false} value={text} onInput={(e) => type(e.currentTarget.value)}
        onKeyDown={(e) => { if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); run(); } }} />
      <div class="bar">
        <button type="button" onClick={run} disabled={state.busy}>Run</button>
        <button type="button" onClick={() => running.current?.abort()} disabled={!state.busy}>Cancel</button>
        <button type="button" onClick={download} disabled={state.busy}>Download CSV</button>
        <label>Examples <select onChange={(e) => e.currentTarget.value && type(e.currentTarget.value)}>
          <option value="">choose …</option>
          {EXAMPLES.map(([name, sql]) => <option key={name} value={sql}>{name}</option>)}
        </select></label>
      </div>
      <p class="summary" role="status">{summary(state)}</p>
      {state.failed && <p class="status bad" role="alert"><Mark state="bad" /> {state.failed}</p>}
      {state.lines && <Plot lines={state.lines} />}
      {state.result && <Rows result={state.result} />}
    </section>
  );
}
