// SPDX-License-Identifier: Apache-2.0
// The data behind the trend: for each chosen tag its samples from the journal, then what the stream brings, and the
// spans in which it was bad or uncertain or its samples are missing. A line ends where a gap or a bad value begins.
import { type Gap, type Note, type Sample, type Tag, type Value, getHistory, getNotes, isGap } from './api';
import { live } from './live';
import { Observable, type Point, concerns, severity } from './plant';

export const MAX_SERIES = 8;
const POINTS = 2400; // asked for
const POINTS_MAX = 8000; // kept; then it is thinned out again
const SETTLE_MS = 500;
const STREAMED_MAX = 200; // kept to be put behind a load that was under way meanwhile

export interface Span { from: number; to: number | null; state: 'bad' | 'uncertain' | 'gap'; why: string } // s; null: still

export const drawable = (tag: Tag): boolean => tag.type !== 'text' && tag.type !== 'bytes';

function numberOf(value: Value): number | null {
  if (value === null) return null;
  const n = Number(value); // wide integers are strings, booleans 0 and 1
  return Number.isFinite(n) ? n : null;
}

export class Series {
  times: number[] = []; // s, rising
  values: (number | null)[] = []; // null: the line ends
  spans: Span[] = [];
  loading = true;
  failed = '';
  private streamed: Sample[] = [];

  constructor(readonly point: Point, readonly colour: number) {}

  fill(samples: Sample[], gaps: Gap[]): void {
    this.times = [];
    this.values = [];
    this.spans = gaps.map((g) => ({ from: Date.parse(g.from) / 1000, to: Date.parse(g.to) / 1000, state: 'gap', why: g.gap }));
    const ends = this.spans.map((s) => s.from).sort((a, b) => a - b);
    for (const s of samples) {
      const t = Date.parse(s.time) / 1000;
      while (ends.length > 0 && ends[0]! < t) this.end(ends.shift()!);
      this.append(s);
    }
    ends.forEach((t) => this.end(t));
    this.streamed.forEach((s) => this.append(s));
  }

  /** A gap begins: the line ends, behind a sample of the same millisecond. */
  private end(t: number): void {
    const last = this.times.at(-1);
    if (last === undefined) return;
    this.times.push(Math.max(t, last + 0.0005));
    this.values.push(null);
  }

  /** From the stream. */
  take(s: Sample): void {
    if (this.streamed.push(s) > STREAMED_MAX) this.streamed.shift();
    this.append(s);
  }

  private append(s: Sample): void {
    const t = Date.parse(s.time) / 1000;
    if (t <= (this.times.at(-1) ?? 0)) return; // late: the next load has it in its place
    const state = severity(s.code);
    this.times.push(t);
    this.values.push(state === 'bad' ? null : numberOf(s.value));
    const open = this.spans.findLast((span) => span.to === null);
    if (open?.state === state) return;
    if (open) open.to = t;
    if (state !== 'good') this.spans.push({ from: t, to: null, state, why: s.status });
  }

  /** The value that held at a time in s; null: none did. */
  at(t: number): number | null {
    let low = 0;
    let high = this.times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle]! <= t) low = middle + 1;
      else high = middle;
    }
    return low > 0 ? this.values[low - 1]! : null;
  }

  /** Times and values; a good last value is known to hold until `now`: what changes or is lost would have been told. */
  held(now: number | null): [number[], (number | null)[]] {
    const last = this.point.state === 'bad' || this.point.state === 'gap' ? null : this.values.at(-1) ?? null;
    if (now === null || last === null || now <= this.times.at(-1)!) return [this.times, this.values];
    return [[...this.times, now], [...this.values, last]];
  }
}

class Trend extends Observable {
  series: Series[] = [];
  full = false;
  width = 15 * 60_000; // ms
  until: number | null = null; // ms; null: now, and on
  cursor: number | null = null; // s
  private timer = 0;

  constructor() {
    super();
    live.listen({
      sample: (s) => this.take(s),
      gap: (g) => this.series.some((s) => concerns(g, s.point)) && this.reload(),
      reset: () => this.refresh(),
    });
  }

  window(): { from: number; to: number } {
    const to = this.until ?? live.now();
    return { from: to - this.width, to };
  }

  has(point: Point): boolean {
    return this.series.some((s) => s.point.tag.path === point.tag.path);
  }

  toggle(point: Point): void {
    const kept = this.series.filter((s) => s.point.tag.path !== point.tag.path);
    this.full = kept.length === this.series.length && kept.length === MAX_SERIES && drawable(point.tag);
    if (kept.length < this.series.length) {
      this.series = kept;
    } else if (drawable(point.tag) && !this.full) {
      const used = this.series.map((s) => s.colour);
      const colour = [...Array(MAX_SERIES).keys()].find((c) => !used.includes(c))!;
      const added = new Series(point, colour);
      this.series = [...kept, added];
      this.load([added]);
    }
    this.changed();
  }

  /** `until` null: live. */
  show(width: number, until: number | null): void {
    this.width = Math.max(10_000, width);
    this.until = until !== null && until < live.now() ? until : null;
    this.reload(0);
    this.changed();
  }

  /** The plan may be another: the points are, if the tags still exist. */
  private refresh(): void {
    this.series = this.series.flatMap((s) => {
      const point = live.plant.points.get(s.point.tag.path);
      return point ? [point === s.point ? s : new Series(point, s.colour)] : [];
    });
    this.reload(0);
  }

  private reload(wait = SETTLE_MS): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.load(this.series), wait);
  }

  private async load(series: Series[]): Promise<void> {
    if (series.length === 0) return;
    series.forEach((s) => { s.loading = true; });
    this.changed();
    const { from, to } = this.window();
    const asked = [this.width, this.until];
    await Promise.all(series.map(async (s) => {
      try {
        const path = s.point.tag.path;
        const notes = getNotes(from, path).catch((): Note[] => []);
        const samples = await getHistory(path, from, to, POINTS);
        const gaps = (await notes).filter(isGap).filter((g) => Date.parse(g.from) < to && Date.parse(g.to) > from);
        if (asked[0] !== this.width || asked[1] !== this.until) return; // another window was chosen meanwhile
        s.fill(samples, gaps);
        s.failed = '';
        s.loading = false;
      } catch (e) {
        s.failed = (e as Error).message;
        s.loading = false;
      }
      this.changed();
    }));
  }

  private take(sample: Sample): void {
    if (this.until !== null) return;
    const s = this.series.find((one) => one.point.tag.path === sample.tag);
    if (!s) return;
    s.take(sample);
    if (s.times.length > POINTS_MAX) this.reload();
  }
}

export const trend = new Trend();
