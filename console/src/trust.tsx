// SPDX-License-Identifier: Apache-2.0
// What makes the gateway worth trusting, on one page and as one file: who may write what, what stops them, certificates, what contracts promised,
// failed sign-ins, and the evidence for IEC 62443-4-2.
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { type AuditEntry, type AuditPage, type Contract, type Inhibit, type Island, type Process, type Writable, type Zones, get } from './api';
import { Proof } from './audit';
import { plural, save, showCount, showSpan, showTime } from './format';
import { live } from './live';
import { type Column, Mark, Status, Table, useObserved, usePolled } from './parts';
import { session } from './session';
import { waysOf } from './zones';

const LOOK_MS = 5000;
const DAY_MS = 86_400_000;
const DAYS = 7;
const SOON_DAYS = 30;
const ENTRIES = 10_000;
const TIMEOUT_MS = 60_000;

const mayAudit = (): boolean => session.who?.rights.includes('audit') ?? false;

// ---- what stops writes and connections

function Switches(): JSX.Element {
  const inhibit = usePolled<Inhibit>('inhibit', LOOK_MS).now;
  const island = usePolled<Island>('island', LOOK_MS).now;
  return (
    <dl class="facts">
      <dt>Writes</dt>
      <dd>{!inhibit ? '…' : inhibit.inhibited ? <span class="status bad"><Mark state="bad" /> all are stopped: {inhibit.reason}</span> : 'are let through, as the contracts allow'}</dd>
      <dt>The north</dt>
      <dd>{!island ? '…' : island.island ? <span class="status bad"><Mark state="bad" /> is cut off: {island.reason}</span> : `${plural(island.services_outside, 'service reaches', 'services reach')} beyond this machine`}</dd>
    </dl>
  );
}

// ---- who may write what

interface Write { contract: string; owner: string; callers: string; conditions: string; tags: number; last: AuditEntry | undefined }

function writesOf(writes: Writable[], used: AuditEntry[]): Write[] {
  const all = new Map<string, Write>();
  for (const w of writes) {
    const last = used.find((e) => e.subject === w.tag);
    const known = all.get(w.contract);
    if (!known) {
      all.set(w.contract, { contract: w.contract, owner: w.owner, callers: w.callers.join(', '), conditions: w.conditions, tags: 1, last });
    } else {
      known.tags++;
      if (last && (!known.last || last.number > known.last.number)) known.last = last;
    }
  }
  return [...all.values()];
}

const lastOf = (w: Write): string => w.last ? `${showTime(Date.parse(w.last.time))} by ${w.last.who ?? '–'}` : mayAudit() ? 'not in the newest entries' : 'in the audit';

const WRITES: Column<Write>[] = [
  { head: 'Write contract', cell: (w) => w.contract },
  { head: 'Owner', cell: (w) => w.owner },
  { head: 'Who may', cell: (w) => w.callers },
  { head: 'Tags', cell: (w) => showCount(w.tags), number: true },
  { head: 'Conditions', cell: (w) => w.conditions },
  { head: 'Last used', cell: lastOf },
];

/** What the audit has of the last days; asked once, for it is long. */
function useAudited(kind: string, days?: number): AuditEntry[] | null {
  const [entries, set] = useState<AuditEntry[] | null>(null);
  useObserved(session);
  const may = mayAudit();
  useEffect(() => {
    if (!may) return;
    const from = days ? `&from=${new Date(live.now() - days * DAY_MS).toISOString()}` : '';
    get<AuditPage>(`audit?kind=${encodeURIComponent(kind)}&limit=${ENTRIES}${from}`, TIMEOUT_MS).then((p) => set(p.entries), () => undefined);
  }, [kind, days, may]);
  return entries;
}

function Writes(): JSX.Element {
  const writes = usePolled<{ writes: Writable[] }>('writes', 4 * LOOK_MS).now?.writes;
  const used = useAudited('command confirmed');
  return <Table label="Write contracts" columns={WRITES} rows={writesOf(writes ?? [], used ?? [])} keyOf={(w) => w.contract} empty={writes ? 'Nobody may write anything.' : 'Loading …'} />;
}

// ---- certificates

const CERTIFICATES: Column<Process>[] = [
  { head: 'Service', cell: (p) => p.name },
  { head: 'Its first certificate ends', cell: (p) => showTime(Date.parse(p.certificate_ends!)) },
  { head: 'Forecast', cell: (p) => {
    const days = (Date.parse(p.certificate_ends!) - live.now()) / DAY_MS;
    if (days <= 0) return <Status state="bad" detail="it has ended" />;
    return days < SOON_DAYS ? <Status state="uncertain" detail={`renew it within ${showSpan(days)}`} /> : `good for ${showSpan(days)}`;
  } },
];

function Certificates(): JSX.Element {
  const processes = usePolled<{ processes: Process[] }>('processes', LOOK_MS).now?.processes;
  return <Table label="Certificates" columns={CERTIFICATES} rows={(processes ?? []).filter((p) => p.certificate_ends)} keyOf={(p) => p.name} empty="No service works with certificates: none listens beyond loopback." />;
}

// ---- contracts

const showPart = (part: number | null): string => part === null ? '–' : `${part.toLocaleString('en', { maximumFractionDigits: 3 })} %`;

const CONTRACTS: Column<Contract>[] = [
  { head: 'Data contract', cell: (c) => c.contract },
  { head: 'To', cell: (c) => c.service },
  { head: 'In effect', cell: (c) => c.effect === 'unsigned' || c.effect === 'partly' ? <Status state="uncertain" detail={c.effect} /> : c.effect },
  { head: 'OT owner', cell: (c) => `${c.owner.name}${c.owner.signed ? ', signed' : ''}` },
  { head: 'IT custodian', cell: (c) => `${c.custodian.name}${c.custodian.signed ? ', signed' : ''}` },
  { head: 'In time, 7 days', cell: (c) => showPart(c.week.in_time), number: true },
  { head: 'Delivered, 7 days', cell: (c) => showPart(c.week.completeness), number: true },
  { head: 'Promised', cell: (c) => showPart(c.completeness), number: true },
];

function Contracts(): JSX.Element {
  const contracts = usePolled<{ contracts: Contract[] }>('contracts', 2 * LOOK_MS).now?.contracts;
  return <Table label="Compliance" columns={CONTRACTS} rows={contracts ?? []} keyOf={(c) => c.contract} empty={contracts ? 'Nothing leaves the plant.' : 'Loading …'} />;
}

// ---- failed sign-ins

const FAILED: Column<AuditEntry>[] = [
  { head: 'Time', cell: (e) => showTime(Date.parse(e.time)) },
  { head: 'Name', cell: (e) => e.subject ?? e.who ?? '' },
  { head: 'Through', cell: (e) => e.where ?? '' },
  { head: 'Text', cell: (e) => e.text ?? '' },
];

function Failed(): JSX.Element {
  const failed = useAudited('sign-in failed', DAYS);
  if (!mayAudit()) return <p class="quiet">The roles security and administrator see them.</p>;
  if (!failed) return <p class="quiet">Loading …</p>;
  return (
    <>
      <p>{failed.length === 0 ? 'None.' : plural(failed.length, 'entry', 'entries')}</p>
      {failed.length > 0 && <Table label="Failed sign-ins" columns={FAILED} rows={failed.slice(0, 100)} keyOf={(e) => String(e.number)} empty="" />}
    </>
  );
}

// ---- evidence

interface Requirement { requirement: string; state: string; how: string; shown_by: string }

const EVIDENCE: Column<Requirement>[] = [
  { head: 'Requirement', cell: (r) => r.requirement },
  { head: 'State', cell: (r) => r.state === 'met' ? 'met' : <span class="status uncertain"><Mark state="uncertain" /> {r.state}</span> },
  { head: 'How', cell: (r) => r.how },
  { head: 'Shown by', cell: (r) => r.shown_by },
];

function Evidence(): JSX.Element {
  const [rows, set] = useState<Requirement[]>([]);
  useEffect(() => { fetch('/iec62443.json').then((r) => r.json() as Promise<Requirement[]>).then(set, () => undefined); }, []);
  const met = rows.filter((r) => r.state === 'met').length;
  return (
    <>
      <p>{met} of {rows.length} requirements up to SL-C 2 are met, by the makers' own account; the rest says what is lacking.</p>
      <Table label="Evidence" columns={EVIDENCE} rows={rows} keyOf={(r) => r.requirement} empty="Loading …" />
    </>
  );
}

// ---- the page, and the page as a file

const STYLE = 'body{font:15px/1.5 sans-serif;max-width:75em;margin:2em auto;padding:0 1em}table{border-collapse:collapse}td,th{border-bottom:1px solid #bbb;padding:.25em .8em;text-align:left;vertical-align:top}svg{width:1em;height:1em}dt{font-weight:bold}';

/** What is shown, without what only works here: nothing in it is fetched, and nothing runs. */
function download(shown: HTMLElement): void {
  const copy = shown.cloneNode(true) as HTMLElement;
  copy.querySelectorAll('button, a').forEach((e) => e.replaceWith(...(e.tagName === 'A' ? [e.textContent ?? ''] : [])));
  const title = `${live.gateway?.name ?? 'Isthmus'}: trust report`;
  const page = document.implementation.createHTMLDocument(title);
  const style = page.createElement('style');
  style.textContent = STYLE;
  page.head.append(style);
  const made = page.createElement('p');
  made.textContent = `${title}, made ${new Date(live.now()).toISOString()}, version ${live.gateway?.version ?? ''}.`;
  page.body.append(made, page.importNode(copy, true));
  save(new Blob([`<!DOCTYPE html>\n${page.documentElement.outerHTML}\n`], { type: 'text/html' }), 'trust-report.html');
}

export function TrustPage(): JSX.Element {
  useObserved(session);
  const shown = useRef<HTMLElement>(null);
  const zones = usePolled<Zones>('zones', LOOK_MS).now;
  const refused = zones ? waysOf(zones).reduce((sum, w) => sum + w.refused, 0) : 0;
  return (
    <section aria-labelledby="trust-title" class="trust" ref={shown}>
      <h2 id="trust-title">Trust</h2>
      <p class="bar"><button type="button" onClick={() => shown.current && download(shown.current)}>Download as one file</button></p>
      <Switches />
      <h3>Zones</h3>
      <p>{zones && <>{plural(zones.zones.length, 'zone')} and {plural(zones.conduits.length, 'conduit')}; {refused > 0 ? <span class="status bad"><Mark state="bad" /> {plural(refused, 'attempt was', 'attempts were')} refused</span> : 'nothing was refused'} in the last 24 hours. <a href="#zones">The picture</a></>}</p>
      <h3>Who may write what</h3>
      <Writes />
      <h3>What leaves the plant</h3>
      <Contracts />
      <h3>Certificates</h3>
      <Certificates />
      <h3>Failed sign-ins of the last {DAYS} days</h3>
      <Failed />
      <h3>The audit</h3>
      {mayAudit() ? <Proof /> : <p class="quiet">The roles security and administrator see whether it is whole.</p>}
      <h3>Evidence for IEC 62443-4-2, SL-C 2</h3>
      <Evidence />
    </section>
  );
}
