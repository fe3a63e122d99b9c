// SPDX-License-Identifier: Apache-2.0
// Zones as boxes and the ways between them as arrows, with what really flowed in the last 24 hours. Each arrow has a line of its own in
// the box where it begins and in the one where it ends, so nothing lies over anything, however many there are and however
// narrow the screen is. The table below says the same.
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Conduit, Flow, Zone, Zones } from './api';
import { plural, showCount } from './format';
import { type Column, Mark, Table, usePolled } from './parts';

const LOOK_MS = 5000;
const GATEWAY = 'the gateway itself';

/** All that goes from one zone to another: the arrow. */
export interface Way {
  from: string; to: string; conduits: Conduit[];
  values: number; queries: number; allowed: number; refused: number;
}

export function waysOf(zones: Zones): Way[] {
  const ways = new Map<string, Way>();
  const way = (from: string, to: string): Way => {
    const key = `${from}\n${to}`;
    if (!ways.has(key)) ways.set(key, { from, to, conduits: [], values: 0, queries: 0, allowed: 0, refused: 0 });
    return ways.get(key)!;
  };
  for (const c of zones.conduits) way(c.from, c.to).conduits.push(c);
  for (const f of zones.flows) {
    const w = way(f.from ?? GATEWAY, f.to);
    w.values += f.values;
    w.queries += f.queries;
    w.allowed += f.commands_allowed;
    w.refused += f.commands_refused + f.reads_refused;
  }
  return [...ways.values()];
}

const flowed = (w: Way): boolean => w.values + w.queries + w.allowed > 0;
const isShut = (w: Way): boolean => w.conduits.length > 0 && w.conduits.every((c) => !c.open);

/** What an arrow says, in lines that are short enough for a phone. */
function words(w: Way): string[] {
  const some = [
    w.values > 0 && plural(w.values, 'value'),
    w.queries > 0 && plural(w.queries, 'query', 'queries'),
    w.allowed > 0 && plural(w.allowed, 'command'),
  ].filter((t): t is string => Boolean(t));
  return some.length > 0 ? some : ['nothing flowed'];
}

// ---- the picture

const LINE = 18;
const HEAD = 44;
const GAP = 22;
const PAD = 12;
const LANE = 16;

interface Slot { way: Way; out: boolean; y: number; lines: string[] }
interface Box { name: string; about: string; y: number; height: number; slots: Slot[]; inside: Way | undefined }

function aboutZone(z: Zone): string {
  return [z.tags > 0 && plural(z.tags, 'tag'), z.devices.length > 0 && plural(z.devices.length, 'device'), z.services.length > 0 && plural(z.services.length, 'service')]
    .filter(Boolean).join(', ') || 'nothing that is shown here';
}

function layOut(zones: Zone[], ways: Way[]): Box[] {
  const away = ways.filter((w) => w.from !== w.to);
  const names = [...(ways.some((w) => w.from === GATEWAY) ? [{ name: GATEWAY, about: 'over its own socket' }] : []),
    ...zones.map((z) => ({ name: z.zone, about: aboutZone(z) }))];
  let y = 1;
  return names.map(({ name, about }) => {
    const inside = ways.find((w) => w.from === name && w.to === name);
    let at = y + HEAD + (inside ? LINE : 0);
    const slots: Slot[] = [];
    for (const way of away.filter((w) => w.from === name)) {
      const lines = [`to ${way.to}`, ...words(way), ...(way.refused > 0 ? [`${showCount(way.refused)} refused`] : [])];
      slots.push({ way, out: true, y: at + LINE / 2, lines });
      at += lines.length * LINE + 6;
    }
    for (const way of away.filter((w) => w.to === name)) {
      slots.push({ way, out: false, y: at + LINE / 2, lines: [`from ${way.from}`] });
      at += LINE + 6;
    }
    const box = { name, about, y, height: at - y + (slots.length > 0 ? 4 : 0), slots, inside };
    y += box.height + GAP;
    return box;
  });
}

interface Arrow { way: Way; from: number; to: number; lane: number }

/** The shorter an arrow, the nearer to the boxes it runs; those that never meet share a lane. */
function route(boxes: Box[]): { arrows: Arrow[]; lanes: number } {
  const slots = boxes.flatMap((b) => b.slots);
  const arrows = slots.filter((s) => s.out).flatMap((s) => {
    const end = slots.find((e) => !e.out && e.way === s.way);
    return end ? [{ way: s.way, from: s.y, to: end.y, lane: 0 }] : [];
  }).sort((a, b) => Math.abs(a.to - a.from) - Math.abs(b.to - b.from));
  const taken: [number, number][][] = [];
  for (const a of arrows) {
    const low = Math.min(a.from, a.to) - 6;
    const high = Math.max(a.from, a.to) + 6;
    let lane = 0;
    while (taken[lane]?.some(([l, h]) => l < high && low < h)) lane++;
    (taken[lane] ??= []).push([low, high]);
    a.lane = lane;
  }
  return { arrows, lanes: taken.length };
}

const widthOf = (w: Way): number => flowed(w) ? 1.5 + Math.min(4.5, Math.log10(1 + w.values + 10 * w.allowed)) : 1.5;
const kindOf = (w: Way): string => `${w.refused > 0 ? 'refused' : ''} ${flowed(w) ? '' : 'idle'} ${isShut(w) ? 'shut' : ''}`;

function Picture({ zones, ways }: { zones: Zone[]; ways: Way[] }): JSX.Element {
  const place = useRef<HTMLElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const watch = new ResizeObserver(() => setWidth(place.current?.clientWidth ?? 0));
    watch.observe(place.current!);
    return () => watch.disconnect();
  }, []);
  const boxes = layOut(zones, ways);
  const { arrows, lanes } = route(boxes);
  const room = lanes > 0 ? (lanes + 1) * LANE : 1;
  const wide = Math.max(120, Math.min(width - room - 2, 420));
  const last = boxes[boxes.length - 1];
  const height = last ? last.y + last.height + 2 : 0;
  return (
    <figure class="zones" ref={place}>
      <svg width={wide + room + 2} height={height} role="img" aria-label="Zones and the ways between them; the table below says the same">
        {boxes.map((b) => (
          <g key={b.name}>
            <rect class={b.name === GATEWAY ? 'own' : ''} x={1} y={b.y} width={wide} height={b.height} rx={4} />
            <text class="name" x={PAD} y={b.y + 19}>{b.name}</text>
            <text class="lies" x={PAD} y={b.y + 36}>{b.about}</text>
            {b.inside && <text class={kindOf(b.inside)} x={PAD} y={b.y + HEAD + 8}>within: {words(b.inside).join(', ')}{b.inside.refused > 0 && `, ${showCount(b.inside.refused)} refused`}</text>}
            {b.slots.map((s) => s.lines.map((line, i) => (
              <text key={`${s.out} ${s.way.from} ${s.way.to} ${i}`} class={i === 0 ? '' : line.endsWith(' refused') ? 'no' : 'what'} x={wide - PAD} y={s.y + 4 + i * LINE} text-anchor="end">{line}</text>
            )))}
          </g>
        ))}
        {arrows.map((a) => {
          const x = wide + 1;
          const turn = x + (a.lane + 1) * LANE;
          const down = Math.sign(a.to - a.from) * 6;
          return (
            <g key={`${a.way.from} ${a.way.to}`} class={`way ${kindOf(a.way)}`}>
              <path class="line" stroke-width={widthOf(a.way)} d={`M${x} ${a.from}H${turn - 6}Q${turn} ${a.from} ${turn} ${a.from + down}V${a.to - down}Q${turn} ${a.to} ${turn - 6} ${a.to}H${x + 8}`} />
              <path class="head" d={`M${x} ${a.to}l10 -5v10z`} />
              {a.way.refused > 0 && <path class="cross" d={`M${turn - 5} ${(a.from + a.to) / 2 - 5}l10 10m0 -10l-10 10`} />}
            </g>
          );
        })}
      </svg>
      <figcaption class="quiet">The wider an arrow, the more flowed; dashed: nothing did; red with a cross: something was refused.</figcaption>
    </figure>
  );
}

// ---- the tables

function Refused({ way: w }: { way: Way }): JSX.Element {
  return w.refused > 0 ? <span class="status bad"><Mark state="bad" /> {plural(w.refused, 'attempt')}</span> : <>0</>;
}

function Conduits({ way: w }: { way: Way }): JSX.Element {
  if (w.from === w.to) return <>none needed: the same zone</>;
  if (w.from === GATEWAY) return <>none needed: at the gateway</>;
  if (w.conduits.length === 0) return <span class="status uncertain"><Mark state="uncertain" /> none leads there</span>;
  const say = (c: Conduit): string => `${c.conduit}: ${[c.read && 'read', c.command && 'command'].filter(Boolean).join(' and ')}${c.all_tags ? '' : ' of some tags'}${!c.open ? ', closed' : c.until ? `, until ${c.until.slice(0, 16).replace('T', ' ')}` : ''}`;
  return <>{w.conduits.map((c) => <div key={c.conduit}>{say(c)}</div>)}</>;
}

const WAYS: Column<Way>[] = [
  { head: 'From', cell: (w) => w.from },
  { head: 'To', cell: (w) => w.to },
  { head: 'Conduits', cell: (w) => <Conduits way={w} /> },
  { head: 'Values', cell: (w) => showCount(w.values), number: true },
  { head: 'Queries', cell: (w) => showCount(w.queries), number: true },
  { head: 'Commands', cell: (w) => showCount(w.allowed), number: true },
  { head: 'Refused', cell: (w) => <Refused way={w} /> },
];

const ZONES: Column<Zone>[] = [
  { head: 'Zone', cell: (z) => z.zone },
  { head: 'Tags', cell: (z) => showCount(z.tags), number: true },
  { head: 'Devices', cell: (z) => z.devices.join(', ') },
  { head: 'Services', cell: (z) => z.services.join(', ') },
];

const SERVICES: Column<Flow>[] = [
  { head: 'Service', cell: (f) => f.service },
  { head: 'From', cell: (f) => f.from ?? GATEWAY },
  { head: 'To', cell: (f) => f.to },
  { head: 'Values', cell: (f) => showCount(f.values), number: true },
  { head: 'Queries', cell: (f) => showCount(f.queries), number: true },
  { head: 'Commands', cell: (f) => showCount(f.commands_allowed), number: true },
  { head: 'Refused', cell: (f) => showCount(f.commands_refused + f.reads_refused), number: true },
];

export function ZonesPage(): JSX.Element {
  const zones = usePolled<Zones>('zones', LOOK_MS).now;
  if (!zones) return <section aria-labelledby="zones-title"><h2 id="zones-title">Zones</h2><p class="quiet">Loading …</p></section>;
  const ways = waysOf(zones);
  const refused = ways.reduce((sum, w) => sum + w.refused, 0);
  return (
    <section aria-labelledby="zones-title">
      <h2 id="zones-title">Zones</h2>
      <p class="summary" role="status">
        {plural(zones.zones.length, 'zone')}, {plural(zones.conduits.length, 'conduit')}. In the last 24 hours {refused > 0 ? `${plural(refused, 'attempt was', 'attempts were')} refused` : 'nothing was refused'}.
      </p>
      <div class="zones-page">
        <Picture zones={zones.zones} ways={ways} />
        <div>
          <h3>What really flowed in the last 24 hours</h3>
          <Table label="Ways" columns={WAYS} rows={ways} keyOf={(w) => `${w.from} ${w.to}`} empty="Nothing, and there are no conduits." />
          <h3>By service</h3>
          <Table label="Flows" columns={SERVICES} rows={zones.flows} keyOf={(f) => `${f.service} ${f.to}`} empty="Nothing flowed." />
          <h3>What lies where</h3>
          <Table label="Zones" columns={ZONES} rows={zones.zones} keyOf={(z) => z.zone} empty="" />
        </div>
      </div>
    </section>
  );
}
