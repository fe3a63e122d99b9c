// SPDX-License-Identifier: Apache-2.0
// Contracts: two hands for each, OT's and IT's, and what came of what they promised.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Contract, ContractDetails, MissingCause, Report, Side } from './api';
import { plural, showCount, showTime } from './format';
import { type Column, Status, Table, usePolled } from './parts';

const LOOK_MS = 5000;
const TAGS_SHOWN = 100;

export const contractUnwell = (c: Contract): boolean => c.effect === 'unsigned' || c.effect === 'partly';

const EFFECTS: Record<Contract['effect'], string> = {
  signed: 'In effect: both sides have signed it.',
  trial: 'A trial: nobody has signed it, and nothing of it leaves this machine. Before it may, both sides sign it: isthmus contract --help.',
  partly: 'In effect as both sides signed it before. Tags that have changed since wait until both have signed again.',
  unsigned: 'Not in effect: nothing is delivered.',
};

/** A hand that is given, or one that is not yet. */
function Hand({ role, side, signs }: { role: string; side: Side; signs: boolean }): JSX.Element {
  return (
    <div class={`hand ${side.signed ? 'given' : 'open'}`}>
      <svg viewBox="0 0 24 24" aria-hidden="true">
        {side.signed ? <path d="M4 13l5 5L20 6" /> : <circle cx="12" cy="12" r="8" />}
      </svg>
      <div>
        <p class="quiet">{role}</p>
        <p><strong>{side.name || 'nobody is named'}</strong></p>
        <p>{side.signed ? `signed ${showTime(Date.parse(side.at!))}` : signs ? 'has not signed' : 'need not sign a trial'}</p>
        {side.signed && <p class="quiet">key {side.key}{side.throw_away && ', throw-away: for trying out only'}</p>}
      </div>
    </div>
  );
}

/** What is missing for it to take effect: a sentence and the command that helps, line by line. */
function Missing({ contract: c }: { contract: Contract }): JSX.Element | null {
  if (c.missing === '' || c.effect === 'trial') return null;
  return (
    <ul class="plain">
      {c.missing.split('\n').map((line) => {
        const at = line.indexOf('. isthmus ');
        return <li key={line}>{at < 0 ? line : <>{line.slice(0, at)}: <code>{line.slice(at + 2)}</code></>}</li>;
      })}
    </ul>
  );
}

// ---- promised and delivered

interface Row { time: string; contract: Contract; report: Report }

const showMs = (ms: number): string => ms < 10_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1000)} s`;
const showPercent = (part: number | null): string => part === null ? '–' : `${part.toLocaleString('en', { maximumFractionDigits: 3 })} %`;

function Kept({ contract: c, report: r }: { contract: Contract; report: Report }): JSX.Element {
  if (r.in_time === null) return <>nothing was delivered</>;
  const late = r.in_time < 99;
  const short = c.completeness !== null && (r.completeness ?? 0) < c.completeness;
  if (!late && !short) return <>kept</>;
  return <Status state="uncertain" detail={[late && 'late', short && 'incomplete'].filter(Boolean).join(', ')} />;
}

const REPORT_COLUMNS: Column<Row>[] = [
  { head: 'Time', cell: (r) => r.time },
  { head: 'Fresh within', cell: (r) => showMs(r.contract.freshness_ms), number: true },
  { head: 'Half came in', cell: (r) => r.report.delivered > 0 ? showMs(r.report.p50_ms) : '–', number: true },
  { head: '99 % came in', cell: (r) => r.report.delivered > 0 ? showMs(r.report.p99_ms) : '–', number: true },
  { head: 'In time', cell: (r) => showPercent(r.report.in_time), number: true },
  { head: 'Complete to', cell: (r) => showPercent(r.contract.completeness), number: true },
  { head: 'Delivered', cell: (r) => showPercent(r.report.completeness), number: true },
  { head: 'Missing', cell: (r) => showCount(r.report.missing), number: true },
  { head: 'Promise', cell: (r) => <Kept contract={r.contract} report={r.report} /> },
];

// ---- the terms, and why something is missing

const CAUSE_COLUMNS: Column<MissingCause>[] = [
  { head: 'Why', cell: (c) => <Status state="gap" detail={c.cause} /> },
  { head: 'Concerns', cell: (c) => c.tag ?? c.device ?? c.box ?? 'the whole gateway' },
  { head: 'Values', cell: (c) => showCount(c.missing), number: true },
  { head: 'From', cell: (c) => showTime(Date.parse(c.from)) },
  { head: 'To', cell: (c) => showTime(Date.parse(c.to)) },
];

const TAG_COLUMNS: Column<ContractDetails['tag_list'][number]>[] = [
  { head: 'Tag', cell: (t) => t.tag },
  { head: 'Type', cell: (t) => t.type },
  { head: 'Unit', cell: (t) => t.unit },
  { head: 'Range', cell: (t) => t.low === undefined ? '' : `${t.low} to ${t.high}` },
  { head: 'Delivered', cell: (t) => t.delivered ? 'yes' : <Status state="uncertain" detail="waits for both signatures" /> },
];

function Details({ name }: { name: string }): JSX.Element {
  const c = usePolled<ContractDetails>(`contracts/${encodeURIComponent(name)}`, LOOK_MS).now;
  if (!c) return <p class="quiet">Loading …</p>;
  const terms: [string, string][] = [['Purpose', c.purpose], ['Classification', c.classification], ['IT may keep it', c.retention], ['IT gives back', c.returns], ['Terms (SHA-256)', c.digest]];
  return (
    <>
      <dl class="facts">{terms.map(([term, text]) => <><dt>{term}</dt><dd>{text || 'nothing is said'}</dd></>)}</dl>
      <h4>What is missing, and why (last 7 days)</h4>
      <Table label={`Missing of ${name}`} columns={CAUSE_COLUMNS} rows={c.week.causes} keyOf={(x) => `${x.cause} ${x.tag ?? x.device ?? x.box}`} empty="Nothing." />
      <h4>What leaves the plant{c.tag_list.length > TAGS_SHOWN && <span class="quiet"> (the first {TAGS_SHOWN})</span>}</h4>
      <Table label={`Tags of ${name}`} columns={TAG_COLUMNS} rows={c.tag_list.slice(0, TAGS_SHOWN)} keyOf={(t) => t.tag} empty="No tags." />
    </>
  );
}

function One({ contract: c }: { contract: Contract }): JSX.Element {
  const [open, set] = useState(false);
  const signs = c.effect !== 'trial';
  const rows: Row[] = [{ time: '24 h', contract: c, report: c.day }, { time: '7 days', contract: c, report: c.week }];
  return (
    <article class="contract" aria-labelledby={`contract-${c.contract}`}>
      <h3 id={`contract-${c.contract}`}>{c.contract} <span class="quiet">to {c.service}, {plural(c.tags, 'tag')}{c.held_tags > 0 && `, ${showCount(c.held_tags)} held back`}</span></h3>
      <div class="handshake">
        <Hand role="OT, the owner" side={c.owner} signs={signs} />
        <Hand role="IT, the custodian" side={c.custodian} signs={signs} />
      </div>
      <p>{contractUnwell(c) ? <Status state="bad" detail={EFFECTS[c.effect]} /> : EFFECTS[c.effect]}</p>
      <Missing contract={c} />
      <Table label={`Promised and delivered of ${c.contract}`} columns={REPORT_COLUMNS} rows={rows} keyOf={(r) => r.time} empty="" />
      <p><button type="button" aria-expanded={open} onClick={() => set(!open)}>{open ? 'Less' : 'Terms and gaps'}</button></p>
      {open && <Details name={c.contract} />}
    </article>
  );
}

export function ContractsPage(): JSX.Element {
  const contracts = usePolled<{ contracts: Contract[] }>('contracts', LOOK_MS).now?.contracts;
  return (
    <section aria-labelledby="contracts-title">
      <h2 id="contracts-title">Contracts</h2>
      {contracts?.map((c) => <One key={c.contract} contract={c} />)}
      {!contracts && <p class="quiet">Loading …</p>}
      {contracts?.length === 0 && <p class="quiet">There are no contracts: nothing leaves the plant.</p>}
    </section>
  );
}
