// SPDX-License-Identifier: Apache-2.0
// The gateway's own health: its processes (boxes), how each is locked in, and the journal.
import type { JSX } from 'preact';
import type { Forecast, Journal, Process, Sealed } from './api';
import { plural, showBytes, showCount, showSpan, showTime } from './format';
import { type Column, Status, Table, usePolled } from './parts';

interface Row extends Process { load: number | null }

export const boxUnwell = (p: Process): boolean => p.state !== 'running';

/** What each missing layer would have done. */
const LAYERS: Record<string, string> = {
  'no-new-privileges': 'programs could gain rights',
  limits: 'no limits on files and memory',
  landlock: 'the files it could open are not limited by the kernel',
  seccomp: 'system calls are not filtered',
  addresses: 'the addresses it may reach are not enforced',
  'memory-seals': 'shared memory is not sealed',
  capabilities: 'rights of root are kept',
  'network-namespace': 'it shares the machine’s network',
};

function withLoad(now: Process[], before: Process[] | undefined, span: number): Row[] {
  return now.map((p) => {
    const old = before?.find((b) => b.name === p.name && b.pid === p.pid);
    return { ...p, load: old && span > 0 ? Math.max(0, (p.cpu_seconds - old.cpu_seconds) / (span / 1000)) : null };
  });
}

const COLUMNS: Column<Row>[] = [
  { head: 'Process', cell: (p) => <strong>{p.name}</strong> },
  { head: 'State', cell: (p) => !boxUnwell(p) ? p.state : <Status state={p.state === 'starting' ? 'uncertain' : 'bad'} detail={p.state} /> },
  { head: 'Since', cell: (p) => showTime(Date.parse(p.since)) },
  { head: 'CPU', cell: (p) => <>{p.load === null ? '–' : `${(p.load * 100).toFixed(1)} %`} <span class="quiet">({p.cpu_seconds.toFixed(1)} s)</span></>, number: true },
  { head: 'Memory', cell: (p) => showBytes(p.pss_bytes), number: true },
  { head: 'Queue', cell: (p) => `${(p.ring_permille / 10).toFixed(0)} %`, number: true },
  {
    head: 'Restarts',
    cell: (p) => p.restarts === 0 ? <span class="quiet">none</span> : <>{plural(p.restarts, 'restart')}{p.reason && <div class="detail">{p.reason}</div>}</>,
  },
  {
    head: 'Missing layers',
    cell: (p) => p.layers_missing.length === 0 ? <span class="quiet">none</span>
      : <ul class="plain">{p.layers_missing.map((l) => <li key={l}>{l} <span class="detail">{LAYERS[l]}</span></li>)}</ul>,
  },
];

const FULL_SOON_DAYS = 14;

function DiskForecast({ forecast: f }: { forecast: Forecast }): JSX.Element {
  const growth = `${showBytes(f.growth_bytes_per_day)} a day`;
  if (f.full_in_days === undefined) return <>not filling up</>;
  const end = f.full_by === 'limit' ? 'the limit is reached' : 'the disk is full';
  const text = `${end} in ${showSpan(f.full_in_days)} at this rate (${growth})`;
  return f.full_in_days < FULL_SOON_DAYS ? <Status state="uncertain" detail={text} /> : <>{text}</>;
}

const flashLife = (f: Forecast): string =>
  `${showBytes(f.flash_bytes_per_day)} written a day${f.flash_years ? `, worn in ${showSpan(f.flash_years * 365.25)}` : ''}`;

function SealedHistory({ sealed: s }: { sealed: Sealed }): JSX.Element {
  if (s.damaged > 0) return <Status state="bad" detail={`${plural(s.damaged, 'file')} damaged and set aside`} />;
  if (s.samples === 0) return <>none yet</>;
  return <>{plural(s.samples, 'value')} in {plural(s.files, 'file')}, {(s.bytes / s.samples).toFixed(2)} bytes each</>;
}

function JournalCard({ journal: j }: { journal: Journal }): JSX.Element {
  const behind = BigInt(j.written_seq) - BigInt(j.durable_seq);
  const well = !j.full && j.failures === 0;
  return (
    <section aria-labelledby="journal-title">
      <h3 id="journal-title">Journal</h3>
      <dl class="facts">
        <dt>State</dt>
        <dd>{well ? 'writing' : <Status state="bad" detail={j.full ? 'full: new values are not kept' : `${plural(j.failures, 'failed write')}`} />}</dd>
        <dt>On disk</dt>
        <dd>{showBytes(j.disk_bytes)} of {showBytes(j.limit_bytes)}</dd>
        <dt>Sealed history</dt>
        <dd><SealedHistory sealed={j.sealed} /></dd>
        {j.forecast && <><dt>Disk</dt><dd><DiskForecast forecast={j.forecast} /></dd></>}
        {j.forecast && <><dt>Flash</dt><dd>{flashLife(j.forecast)}</dd></>}
        <dt>Records</dt>
        <dd>{showCount(BigInt(j.written_seq))}, {behind > 0n ? `all but the newest ${showCount(behind)}` : 'all'} safe from loss of power</dd>
        <dt>Mean time of a flush</dt>
        <dd>{j.flush_ms.toFixed(2)} ms</dd>
      </dl>
    </section>
  );
}

export function BoxesPage(): JSX.Element {
  const { now, before, span } = usePolled<{ processes: Process[] }>('processes', 2000);
  const journal = usePolled<{ journal: Journal[] }>('journal', 2000).now?.journal[0];
  const rows = withLoad(now?.processes ?? [], before?.processes, span);
  const unwell = rows.filter(boxUnwell).length;
  const memory = rows.reduce((sum, p) => sum + p.pss_bytes, 0);
  return (
    <section aria-labelledby="boxes-title">
      <h2 id="boxes-title">Boxes</h2>
      <p class="summary" role="status">
        {now && `${unwell > 0 ? `${showCount(unwell)} of ${plural(rows.length, 'process', 'processes')} not running` : `${plural(rows.length, 'process', 'processes')}, all running`}, ${showBytes(memory)} of memory in all.`}
      </p>
      <Table label="Boxes" columns={COLUMNS} rows={rows} keyOf={(p) => p.name} empty="Loading …" />
      {journal && <JournalCard journal={journal} />}
    </section>
  );
}
