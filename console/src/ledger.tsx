// SPDX-License-Identifier: Apache-2.0
// The ledger for whoever answers for the plant's data: one sentence that says how well the account is, then where the
// values of each device went, what each contract has delivered, and why values are missing, down to the single gap.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { type Account, type Cause, type Feed, type Gap, type Ledger, type TagLedger, get, isGap, type Note } from './api';
import { plural, showCount, showDate, showShare, showTime } from './format';
import { live } from './live';
import { type Column, Status, Table, usePolled } from './parts';

const LOOK_MS = 5000;
const RECORDS_SHOWN = 20;
const TAGS_SHOWN = 50;

type Numbers = Omit<Account, 'balanced'>;
const NONE: Numbers = { produced: 0, journaled: 0, suppressed: 0, rejected: 0, gaps: 0 };

/** What a cause means, for people who never saw this program from within. */
const CAUSES: Record<string, string> = {
  'ring full': 'The gateway was too busy to take them',
  'journal full': 'The disk space for the journal was used up',
  'journal failed': 'The disk failed to write',
  'device down': 'The device did not answer',
  'device error': 'The device answered with an error',
  'poll late': 'The device was too slow: readings were skipped',
  'box down': 'The driver’s process was down',
  'box fault': 'The driver’s process was stopped for a fault',
  'gateway down': 'The gateway was not running',
  'torn tail': 'The last moment before a sudden stop',
  'segment lost': 'A part of the journal is damaged',
  'feed limit': 'Dropped before delivery, by the limit for backlog',
  retired: 'Removed on purpose, by the rules for keeping data',
  'device overflow': 'The device’s own memory overflowed',
  'sequence jump': 'Lost between the device and us',
};
const wordsOf = (cause: string): string => CAUSES[cause] ?? cause;

const concernOf = (c: { tag?: string; device?: string; box?: string }): string =>
  c.tag ?? (c.device !== undefined ? `device ${c.device}` : c.box !== undefined ? `driver ${c.box}` : 'the whole gateway');

/** The device that a cause concerns; '' when it is not just one. */
const deviceOf = (c: Cause): string => c.device ?? (c.tag !== undefined ? live.plant.points.get(c.tag)?.tag.device ?? '' : '');

function showStretch(from: string, to: string): string {
  const [a, b] = [Date.parse(from), Date.parse(to)];
  const end = showDate(a) === showDate(b) ? showTime(b).slice(-8) : showTime(b);
  return showTime(a) === showTime(b) ? showTime(a) : `${showTime(a)} to ${end}`;
}

// ---- the sentence

function Sentence({ ledger, causes, feeds }: { ledger: Ledger; causes: Cause[]; feeds: Feed[] }): JSX.Element {
  const { produced, journaled, suppressed, rejected, gaps } = ledger.total;
  const off = ledger.tags.filter((t) => !t.balanced);
  const wrong = feeds.filter((f) => !f.balanced);
  const explained = causes.filter((c) => c.cause !== 'retired').reduce((sum, c) => sum + c.produced, 0);
  const missed = causes.filter((c) => c.cause !== 'retired').reduce((sum, c) => sum + c.missed, 0);
  const since = ledger.since ? ` since ${showTime(Date.parse(ledger.since))}` : '';
  const purpose = suppressed > 0 ? ` ${plural(suppressed, 'value')} were left out on purpose, as nothing had changed.` : '';
  const refused = rejected > 0 ? ` ${plural(rejected, 'value')} were refused because they made no sense.` : '';
  const lost = gaps === 0 ? 'none is missing.' : `${showCount(gaps)} ${gaps === 1 ? 'is' : 'are'} missing, ${gaps <= explained ? 'each explained' : `${showCount(gaps - explained)} of them without an explanation that we still have`}.`;
  return (
    <div class="sentence" role="status">
      <p>Of <strong>{plural(produced, 'value')}</strong> the plant produced{since}, <strong>{showShare(journaled, produced)}</strong> reached the journal; <strong>{lost}</strong>{purpose}{refused}</p>
      {missed > 0 && <p>About {plural(missed, 'more value')} could not be read at all, for the reasons below.</p>}
      {off.length + wrong.length === 0 ? <p class="quiet">The account balances: every value is accounted for.</p>
        : <p><Status state="bad" detail={`the account does not balance, first of ${off[0]?.tag ?? wrong[0]!.contract}`} /></p>}
    </div>
  );
}

// ---- bars

interface Part { name: string; term: string; count: number; kind: string }

const partsOf = (n: Numbers): Part[] => [
  { name: 'kept in the journal', term: 'journaled', count: n.journaled, kind: 'kept' },
  { name: 'left out on purpose', term: 'suppressed', count: n.suppressed, kind: 'left' },
  { name: 'refused', term: 'rejected', count: n.rejected, kind: 'refused' },
  { name: 'lost', term: 'gaps', count: n.gaps, kind: 'lost' },
];
const partsOfFeed = (f: Feed): Part[] => [
  { name: 'delivered', term: 'delivered', count: f.delivered, kind: 'kept' },
  { name: 'waiting', term: 'pending', count: f.pending, kind: 'left' },
  { name: 'lost before delivery', term: 'gaps', count: f.gaps, kind: 'lost' },
];

const tell = (parts: Part[]): string =>
  parts.filter((p, i) => i === 0 || p.count > 0).map((p) => `${showCount(p.count)} ${p.name}`).join(', ');

/** Shares as widths; whatever is not nothing can be seen. */
function Bar({ parts }: { parts: Part[] }): JSX.Element {
  return (
    <div class="share" role="img" aria-label={tell(parts)}>
      {parts.filter((p) => p.count > 0).map((p) => <span key={p.kind} class={p.kind} style={{ flexGrow: p.count }} />)}
    </div>
  );
}

function Key({ parts }: { parts: Part[] }): JSX.Element {
  return <p class="share-key">{parts.map((p) => <span key={p.kind}><i class={`share-mark ${p.kind}`} aria-hidden="true" /> {p.name} <span class="quiet">({p.term})</span></span>)}</p>;
}

function sumByDevice(tags: TagLedger[]): [string, Numbers][] {
  const sums = new Map<string, Numbers>();
  for (const t of tags) {
    const device = live.plant.points.get(t.tag)?.tag.device ?? '';
    const sum = sums.get(device) ?? { ...NONE };
    for (const k of Object.keys(NONE) as (keyof Numbers)[]) sum[k] += t[k];
    sums.set(device, sum);
  }
  return [...sums].sort(([a], [b]) => a.localeCompare(b));
}

function Devices({ tags, chosen, choose }: { tags: TagLedger[]; chosen: string; choose: (device: string) => void }): JSX.Element {
  return (
    <section aria-labelledby="where-title">
      <h3 id="where-title">Where the values of each device went</h3>
      <Key parts={partsOf(NONE)} />
      <ul class="shares">
        {sumByDevice(tags).map(([device, n]) => (
          <li key={device}>
            <button type="button" aria-pressed={device === chosen} onClick={() => choose(device === chosen ? '' : device)}>{device || 'no device'}</button>
            <Bar parts={partsOf(n)} />
            <span class="told">{tell(partsOf(n))}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Feeds({ feeds }: { feeds: Feed[] }): JSX.Element | null {
  if (feeds.length === 0) return null;
  return (
    <section aria-labelledby="delivered-title">
      <h3 id="delivered-title">What each contract has delivered</h3>
      <Key parts={partsOfFeed({ delivered: 0, pending: 0, gaps: 0 } as Feed)} />
      <ul class="shares">
        {feeds.map((f) => (
          <li key={f.contract}>
            <span class="of"><strong>{f.contract}</strong> <span class="quiet">to {f.service}</span></span>
            <Bar parts={partsOfFeed(f)} />
            <span class="told">{tell(partsOfFeed(f))} <span class="quiet">of {showCount(f.journaled)} since {showTime(Date.parse(f.since))}</span></span>
          </li>
        ))}
      </ul>
    </section>
  );
}

// ---- the tags of a device

const TAG_COLUMNS: Column<TagLedger>[] = [
  { head: 'Tag', cell: (t) => t.tag },
  { head: 'Produced', cell: (t) => showCount(t.produced), number: true },
  { head: 'Kept', cell: (t) => showCount(t.journaled), number: true },
  { head: 'Left out', cell: (t) => showCount(t.suppressed), number: true },
  { head: 'Refused', cell: (t) => showCount(t.rejected), number: true },
  { head: 'Lost', cell: (t) => showCount(t.gaps), number: true },
  { head: 'Balances', cell: (t) => t.balanced ? 'yes' : <Status state="bad" detail="no" /> },
];

function Tags({ device, tags }: { device: string; tags: TagLedger[] }): JSX.Element {
  const own = tags.filter((t) => (live.plant.points.get(t.tag)?.tag.device ?? '') === device)
    .sort((a, b) => b.gaps + b.rejected - a.gaps - a.rejected || a.tag.localeCompare(b.tag));
  return (
    <section aria-labelledby="tags-title">
      <h3 id="tags-title">Tags of {device || 'no device'}{own.length > TAGS_SHOWN && <span class="quiet"> (the {TAGS_SHOWN} with the most lost, of {showCount(own.length)})</span>}</h3>
      <Table label="Tags" columns={TAG_COLUMNS} rows={own.slice(0, TAGS_SHOWN)} keyOf={(t) => t.tag} empty="It has no tags." />
    </section>
  );
}

// ---- causes, and the records behind one

const keyOf = (c: Cause): string => `${c.cause}|${c.tag ?? ''}|${c.device ?? ''}|${c.box ?? ''}`;
const keyOfGap = (g: Gap): string => `${g.gap}|${g.tag ?? ''}|${g.device ?? ''}|${g.box ?? ''}`;

const RECORD_COLUMNS: Column<Gap>[] = [
  { head: 'From – to', cell: (g) => showStretch(g.from, g.to) },
  { head: 'Lost', cell: (g) => showCount(g.produced), number: true },
  { head: 'Never read', cell: (g) => g.missed > 0 ? `about ${showCount(g.missed)}` : '0', number: true },
  { head: 'Noted', cell: (g) => showTime(Date.parse(g.time)) },
];

function Records({ cause }: { cause: Cause }): JSX.Element {
  const [gaps, set] = useState<Gap[] | null>(null);
  const key = keyOf(cause);
  useEffect(() => {
    let left = false;
    get<{ records: Note[] }>(`gaps?from=${cause.from}&limit=1000`).then(({ records }) => {
      if (!left) set(records.filter(isGap).filter((g) => keyOfGap(g) === key).reverse());
    }, () => { if (!left) set([]); });
    return () => { left = true; };
  }, [key, cause.records]);
  const shown = gaps?.slice(0, RECORDS_SHOWN) ?? [];
  return (
    <section aria-labelledby="records-title">
      <h3 id="records-title">{wordsOf(cause.cause)}: {concernOf(cause)}</h3>
      <Table label="Gap records" columns={RECORD_COLUMNS} rows={shown} keyOf={(g) => g.seq} empty={gaps ? 'The records are no longer among the newest thousand.' : 'Loading …'} />
      {cause.records > shown.length && shown.length > 0 && <p class="quiet">The newest {shown.length} of {showCount(cause.records)}.</p>}
    </section>
  );
}

function Causes({ causes, device, chosen, choose }: {
  causes: Cause[]; device: string; chosen: string; choose: (key: string) => void;
}): JSX.Element {
  const rows = causes.filter((c) => device === '' || deviceOf(c) === device || (c.tag === undefined && c.device === undefined))
    .sort((a, b) => b.produced - a.produced || b.missed - a.missed || keyOf(a).localeCompare(keyOf(b)));
  const columns: Column<Cause>[] = [
    { head: 'Why', cell: (c) => <><Status state="gap" detail={wordsOf(c.cause)} /> <span class="quiet">({c.cause})</span></> },
    { head: 'Concerns', cell: concernOf },
    { head: 'Lost', cell: (c) => showCount(c.produced), number: true },
    { head: 'Never read', cell: (c) => c.missed > 0 ? `about ${showCount(c.missed)}` : '0', number: true },
    { head: 'From – to', cell: (c) => showStretch(c.from, c.to) },
    {
      head: 'Records',
      cell: (c) => <button type="button" aria-expanded={keyOf(c) === chosen} aria-label={`Records: ${wordsOf(c.cause)}, ${concernOf(c)}`} onClick={() => choose(keyOf(c) === chosen ? '' : keyOf(c))}>{plural(c.records, 'record')}</button>,
      number: true,
    },
  ];
  const open = rows.find((c) => keyOf(c) === chosen);
  return (
    <section aria-labelledby="causes-title">
      <h3 id="causes-title">What is missing, and why{device && <span class="quiet"> (device {device}, and what concerned all)</span>}</h3>
      <Table label="Causes" columns={columns} rows={rows} keyOf={keyOf} empty="Nothing is missing." />
      {open && <Records key={chosen} cause={open} />}
    </section>
  );
}

export function LedgerPage(): JSX.Element {
  const ledger = usePolled<Ledger>('ledger', LOOK_MS).now;
  const causes = usePolled<{ causes: Cause[] }>('ledger/causes', LOOK_MS).now?.causes;
  const feeds = usePolled<{ feeds: Feed[] }>('feeds', LOOK_MS).now?.feeds;
  const [device, setDevice] = useState('');
  const [record, setRecord] = useState('');
  return (
    <section aria-labelledby="ledger-title">
      <h2 id="ledger-title">Ledger</h2>
      {!ledger || !causes || !feeds ? <p class="quiet">Loading …</p> : (
        <>
          <Sentence ledger={ledger} causes={causes} feeds={feeds} />
          <Devices tags={ledger.tags} chosen={device} choose={setDevice} />
          {device && <Tags device={device} tags={ledger.tags} />}
          <Feeds feeds={feeds} />
          <Causes causes={causes} device={device} chosen={record} choose={setRecord} />
        </>
      )}
    </section>
  );
}
