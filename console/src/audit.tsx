// SPDX-License-Identifier: Apache-2.0
// The audit: who asked for what, what was decided, what was done. Searched on the gateway, newest first; whether it is whole
// stands above all that is found.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { type AuditEntry, type AuditPage, type AuditProof, get } from './api';
import { plural, save, showCount, showTime } from './format';
import { type Column, Mark, Table, useObserved, usePolled } from './parts';
import { session } from './session';

const PAGE = 100;
const EXPORT_PAGE = 10_000;
const EXPORT_MAX = 200_000;
const TIMEOUT_MS = 60_000;
const KINDS = ['command', 'command requested', 'command refused', 'command denied', 'lease', 'batch', 'inhibit', 'island', 'sign-in', 'sign-in failed', 'session ended',
  'account', 'token', 'contract', 'configuration', 'box', 'gateway', 'recovered', 'checkpoint'];

interface Wanted { kind: string; who: string; about: string; text: string; from: string; to: string }
const NOTHING: Wanted = { kind: '', who: '', about: '', text: '', from: '', to: '' };

/** Times are typed as the clock on the wall shows them; the gateway takes UTC. */
function queryOf(w: Wanted, limit: number, before?: string): string {
  const q = new URLSearchParams();
  for (const key of ['kind', 'who', 'about', 'text'] as const) if (w[key]) q.set(key, w[key]);
  for (const key of ['from', 'to'] as const) if (w[key]) q.set(key, new Date(w[key]).toISOString());
  q.set('limit', String(limit));
  if (before) q.set('before', before);
  return `audit?${q}`;
}

// ---- is it whole?

export function Proof(): JSX.Element {
  const p = usePolled<AuditProof>('audit/proof', 3000).now;
  if (!p || (!p.checked && !p.error)) return <p class="quiet">The chain is being verified …</p>;
  if (p.error) return <p><span class="status bad"><Mark state="bad" /> The chain could not be verified</span>: {p.error}</p>;
  const when = `verified ${showTime(Date.parse(p.checked!))}`;
  if (!p.sound) {
    return <p role="alert"><span class="status bad"><Mark state="bad" /> The audit is not whole</span>: entry {showCount(p.damaged!)} in {p.file}: {p.reason} ({when})</p>;
  }
  return (
    <p>
      The chain is whole: {plural(p.entries!, 'entry', 'entries')}, {p.proven! > 0 ? `signed up to number ${showCount(p.proven!)}` : 'not signed yet (that comes within a minute),'} by the key <code class="key-id">{p.key}</code> ({when}).
      {' '}<span class="quiet">That this key is the gateway's own, only a copy of it that was kept elsewhere can tell: isthmus audit verify --key.</span>
    </p>
  );
}

// ---- what is found

const change = (e: AuditEntry): string => [e.before, e.after].filter((v) => v !== undefined).map(String).join(' → ');

const COLUMNS: Column<AuditEntry>[] = [
  { head: 'Number', cell: (e) => showCount(e.number), number: true },
  { head: 'Time', cell: (e) => showTime(Date.parse(e.time)) },
  { head: 'What', cell: (e) => e.kind },
  { head: 'Who', cell: (e) => e.who ?? '' },
  { head: 'Through', cell: (e) => e.where ?? '' },
  { head: 'About', cell: (e) => [e.subject, change(e)].filter(Boolean).join(': ') },
  { head: 'Text', cell: (e) => e.text ?? '' },
];

// ---- files

const FIELDS = ['number', 'time', 'kind', 'who', 'where', 'subject', 'before', 'after', 'text', 'id'] as const;

/** A cell that a spreadsheet would take for a formula is none. */
function cell(value: unknown): string {
  const text = value === undefined || value === null ? '' : String(value);
  const safe = /^[=+\-@\t]/.test(text) && !/^-\d/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) || safe !== text ? `"${safe.replace(/"/g, '""')}"` : safe;
}

async function everything(wanted: Wanted): Promise<AuditEntry[]> {
  const all: AuditEntry[] = [];
  for (let before: string | undefined; ;) {
    const page: AuditPage = await get(queryOf(wanted, EXPORT_PAGE, before), TIMEOUT_MS);
    all.push(...page.entries);
    before = page.before;
    if (!page.more || all.length >= EXPORT_MAX) return all;
  }
}

async function download(wanted: Wanted, csv: boolean): Promise<void> {
  const all = await everything(wanted);
  const lines = csv ? [FIELDS.join(','), ...all.map((e) => FIELDS.map((f) => cell(e[f])).join(','))] : all.map((e) => JSON.stringify(e));
  save(new Blob([`${lines.join('\n')}\n`], { type: csv ? 'text/csv' : 'application/x-ndjson' }), csv ? 'audit.csv' : 'audit.jsonl');
}

// ---- the page

function Search({ search, busy }: { search: (w: Wanted) => void; busy: boolean }): JSX.Element {
  const [w, set] = useState(NOTHING);
  const field = (key: keyof Wanted, label: string, more: JSX.IntrinsicElements['input'] = {}): JSX.Element => (
    <label>{label} <input value={w[key]} maxLength={47} onInput={(e) => set({ ...w, [key]: e.currentTarget.value })} {...more} /></label>
  );
  return (
    <form class="bar search" onSubmit={(e) => { e.preventDefault(); search(w); }}>
      {field('kind', 'What', { list: 'audit-kinds' })}
      <datalist id="audit-kinds">{KINDS.map((k) => <option key={k} value={k} />)}</datalist>
      {field('who', 'Who')}
      {field('about', 'About', { maxLength: 127, placeholder: 'site/*/level' })}
      {field('text', 'Text', { maxLength: 63 })}
      {field('from', 'From', { type: 'datetime-local' })}
      {field('to', 'To', { type: 'datetime-local' })}
      <button type="submit" disabled={busy}>Search</button>
    </form>
  );
}

function Found(): JSX.Element {
  const [wanted, setWanted] = useState(NOTHING);
  const [page, setPage] = useState<AuditPage | null>(null);
  const [busy, setBusy] = useState(true);
  const [wrong, setWrong] = useState('');
  const work = async (act: () => Promise<void>): Promise<void> => {
    setBusy(true);
    setWrong('');
    await act().catch((e: Error) => setWrong(e.message));
    setBusy(false);
  };
  const look = (w: Wanted, before?: string): Promise<void> => work(async () => {
    setWanted(w);
    setPage(await get<AuditPage>(queryOf(w, PAGE, before), TIMEOUT_MS));
  });
  useEffect(() => { look(NOTHING); }, []);
  return (
    <>
      <Search search={look} busy={busy} />
      <p class="bar">
        <button type="button" disabled={busy || !page?.more} onClick={() => look(wanted, page!.before)}>Older</button>
        <button type="button" disabled={busy} onClick={() => look(wanted)}>Newest</button>
        <button type="button" disabled={busy} onClick={() => work(() => download(wanted, false))}>Download JSON lines</button>
        <button type="button" disabled={busy} onClick={() => work(() => download(wanted, true))}>Download CSV</button>
        <span role="status">{busy ? 'One moment …' : page && `${plural(page.entries.length, 'entry', 'entries')}${page.more ? ', and there may be older ones' : ''}`}</span>
        {wrong && <span class="status bad" role="alert"><Mark state="bad" /> {wrong}</span>}
      </p>
      {page && <Table label="Audit" columns={COLUMNS} rows={page.entries} keyOf={(e) => String(e.number)} empty={page.more ? 'Nothing among the newest; look at older ones.' : 'Nothing was found.'} />}
    </>
  );
}

export function AuditSearchPage(): JSX.Element {
  useObserved(session);
  const may = session.who?.rights.includes('audit') ?? false;
  return (
    <section aria-labelledby="audit-title">
      <h2 id="audit-title">Audit</h2>
      {may ? <><Proof /><Found /></> : <p>The audit is for the roles security and administrator. <a href="#sign-in">Sign in</a> as one of them.</p>}
    </section>
  );
}
