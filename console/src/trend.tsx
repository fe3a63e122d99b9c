// SPDX-License-Identifier: Apache-2.0
// The trend of the chosen tags: which stretch of time, one lane for each unit, and a legend that tells the value under
// the pointer, or else the current one.
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { plural, showClock, showDate, showUnit, showValue } from './format';
import { live } from './live';
import { Mark, useObserved, useTick } from './parts';
import { DASHES, Lane } from './plot';
import { type Series, trend } from './series';

const MINUTE = 60_000;
const WIDTHS = [
  { ms: 5 * MINUTE, text: '5 min' }, { ms: 15 * MINUTE, text: '15 min' }, { ms: 60 * MINUTE, text: '1 h' },
  { ms: 360 * MINUTE, text: '6 h' }, { ms: 1440 * MINUTE, text: '24 h' }, { ms: 10_080 * MINUTE, text: '7 d' },
];

/** The end of the range; while somebody types into it, nothing else is written there. */
function Until({ value }: { value: string }): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (document.activeElement !== field.current) field.current!.value = value;
  });
  const choose = (text: string): void => trend.show(trend.width, text ? new Date(text).getTime() : null);
  return <input ref={field} type="datetime-local" step="1" onChange={(e) => choose(e.currentTarget.value)} />;
}

function Controls(): JSX.Element {
  const { to } = trend.window();
  const isLive = trend.until === null;
  const move = (by: number): void => trend.show(trend.width, to + by * trend.width);
  return (
    <div class="bar" role="group" aria-label="Time range">
      <span class="choice">
        {WIDTHS.map(({ ms, text }) => (
          <button key={ms} type="button" aria-pressed={trend.width === ms} onClick={() => trend.show(ms, trend.until)}>{text}</button>
        ))}
      </span>
      <span class="choice">
        <button type="button" aria-label="Earlier" title="Earlier" onClick={() => move(-0.5)}>◂</button>
        <button type="button" aria-label="Later" title="Later" disabled={isLive} onClick={() => move(0.5)}>▸</button>
        <button type="button" aria-pressed={isLive} onClick={() => trend.show(trend.width, null)}>Live</button>
      </span>
      <label class="until">until <Until value={isLive ? '' : `${showDate(to)}T${showClock(to)}`} /></label>
    </div>
  );
}

/** What of the shown stretch is not well, in words: for those who don't see the drawing, and to name the cause. */
function troubles(s: Series): JSX.Element[] {
  const { from, to } = trend.window();
  const seen = s.spans.filter((span) => span.from * 1000 <= to && (span.to === null || span.to * 1000 >= from));
  return (['bad', 'uncertain', 'gap'] as const).flatMap((state) => {
    const some = seen.filter((span) => span.state === state);
    const whys = [...new Set(some.map((span) => span.why))].join(', ');
    return some.length > 0 ? [<span key={state} class={`status ${state}`} title={whys}><Mark state={state} /> {plural(some.length, state === 'gap' ? 'gap' : `${state} span`)}</span>] : [];
  });
}

function LegendRow({ series: s }: { series: Series }): JSX.Element {
  const { tag } = s.point;
  const n = trend.cursor === null ? s.point.value : s.at(trend.cursor);
  const value = tag.type === 'bool' && typeof n === 'number' ? n > 0 : n;
  const cut = tag.path.lastIndexOf('/') + 1;
  return (
    <li data-path={tag.path} aria-busy={s.loading}>
      <svg class={`swatch c${s.colour}`} viewBox="0 0 28 8" aria-hidden="true"><path d="M0 4h28" stroke-dasharray={DASHES[s.colour]!.join(' ') || undefined} /></svg>
      <span class="path" title={tag.path}><span class="quiet">{tag.path.slice(0, cut)}</span>{tag.path.slice(cut)}</span>
      <span class="value">{showValue(value, tag)} <span class="quiet">{showUnit(tag.unit)}</span></span>
      <span class="troubles">{s.loading && s.times.length === 0 && <span class="quiet">loading …</span>}{troubles(s)}{s.failed && <span class="status bad"><Mark state="bad" /> {s.failed}</span>}</span>
      <button type="button" aria-label={`Remove ${tag.path} from the trend`} onClick={() => trend.toggle(s.point)}>✕</button>
    </li>
  );
}

/** The series by unit, in the order of their choice. */
function lanesOf(series: Series[]): [string, Series[]][] {
  const lanes = new Map<string, Series[]>();
  for (const s of series) {
    const key = s.point.tag.type === 'bool' ? 'on/off' : s.point.tag.unit;
    lanes.set(key, [...lanes.get(key) ?? [], s]);
  }
  return [...lanes];
}

export function TrendPanel(): JSX.Element {
  useObserved(trend);
  useObserved(live);
  useTick(500); // time goes on, also where nothing changes
  const lanes = lanesOf(trend.series);
  return (
    <section class="trend" aria-label="Trend">
      {trend.series.length === 0 ? (
        <p class="hint quiet">Choose tags on the left, with a click or with Enter, to see their trend from the journal here.</p>
      ) : (
        <>
          <Controls />
          <ul class="legend" aria-label="Chosen tags">{trend.series.map((s) => <LegendRow key={s.point.tag.path} series={s} />)}</ul>
          <div class="lanes">
            {lanes.map(([key, series], i) => (
              <figure key={key}>
                <figcaption class="quiet">{key === 'on/off' ? key : showUnit(key) || 'no unit'}</figcaption>
                <Lane series={series} onoff={key === 'on/off'} last={i === lanes.length - 1} label={`Trend of ${series.map((s) => s.point.tag.path).join(', ')}`} />
              </figure>
            ))}
          </div>
          <p class="key quiet">
            <Mark state="bad" /> filled: bad <Mark state="uncertain" /> dashed: uncertain <Mark state="gap" /> hatched: samples are missing. Drag over a stretch to see it larger.
          </p>
        </>
      )}
    </section>
  );
}
