// SPDX-License-Identifier: Apache-2.0
// Delivery: what goes to whom, and what happened of late.
import type { JSX } from 'preact';
import { type Feed, type Gap, type Note, isGap } from './api';
import { plural, showCount, showTime } from './format';
import { type Column, Status, Table, usePolled } from './parts';

const NOTES_SHOWN = 50;

export const feedUnwell = (f: Feed): boolean => !f.connected;

function FeedState({ feed: f }: { feed: Feed }): JSX.Element {
  if (feedUnwell(f)) return <Status state="bad" detail="not connected; what waits is safe in the journal" />;
  return f.pending > 1000 ? <Status state="uncertain" detail="catching up" /> : <>up to date</>;
}

const FEED_COLUMNS: Column<Feed>[] = [
  { head: 'Contract', cell: (f) => <strong>{f.contract}</strong> },
  { head: 'Goes to', cell: (f) => f.service },
  { head: 'State', cell: (f) => <FeedState feed={f} /> },
  { head: 'Tags', cell: (f) => showCount(f.tags), number: true },
  { head: 'Delivered', cell: (f) => showCount(f.delivered), number: true },
  { head: 'Backlog', cell: (f) => showCount(f.pending), number: true },
  { head: 'Missing', cell: (f) => showCount(f.gaps), number: true },
  { head: 'Cursor', cell: (f) => <>{showCount(BigInt(f.confirmed_seq))} <span class="quiet">of {showCount(BigInt(f.head_seq))}</span></>, number: true },
];

const concernOf = (g: Gap): string => g.tag ?? g.device ?? g.box ?? 'all tags';

function missing(g: Gap): string {
  const parts = [g.produced > 0 && `${plural(g.produced, 'value')} lost`, g.missed > 0 && `about ${plural(g.missed, 'value')} never read`];
  return parts.filter(Boolean).join(', ') || 'not counted';
}

const NOTE_COLUMNS: Column<Note>[] = [
  { head: 'Noted', cell: (n) => showTime(Date.parse(n.time)) },
  { head: 'What', cell: (n) => isGap(n) ? <Status state="gap" detail={n.gap} /> : n.event },
  { head: 'Concerns', cell: (n) => isGap(n) ? concernOf(n) : n.device ?? n.box ?? 'the gateway' },
  {
    head: 'Details',
    cell: (n) => isGap(n) ? `${missing(n)}, ${showTime(Date.parse(n.from))} to ${showTime(Date.parse(n.to))}` : n.text,
  },
];

export function FeedsPage(): JSX.Element {
  const feeds = usePolled<{ feeds: Feed[] }>('feeds', 1000).now?.feeds;
  const notes = usePolled<{ records: Note[] }>(`gaps?limit=${NOTES_SHOWN}`, 5000).now?.records;
  return (
    <section aria-labelledby="feeds-title">
      <h2 id="feeds-title">Feeds</h2>
      <Table label="Feeds" columns={FEED_COLUMNS} rows={feeds ?? []} keyOf={(f) => `${f.contract} ${f.service}`}
        empty={feeds ? 'No contract delivers anything yet.' : 'Loading …'} />
      <section aria-labelledby="notes-title">
        <h3 id="notes-title">What happened, and what is missing (last 24 h)</h3>
        <Table label="Gaps and events" columns={NOTE_COLUMNS} rows={[...(notes ?? [])].reverse()} keyOf={(n) => `${n.seq} ${n.time}`}
          empty={notes ? 'Nothing.' : 'Loading …'} />
      </section>
    </section>
  );
}
