// SPDX-License-Identifier: Apache-2.0
// One lane of the trend: the lines of one unit, drawn by uPlot. What is not well is drawn as such: a line ends there, and
// a ribbon at the lane's foot (one a tag) shows bad as a filled bar, uncertain as a dashed one, and below them a gap as a
// hatched one, for a dead device makes both. Bad is tinted and a gap hatched over the lane's whole height as well.
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { showClock } from './format';
import { live } from './live';
import { useMedia } from './parts';
import { type Series, trend } from './series';

export const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 2], [1, 2], [14, 4], [6, 3, 1, 3]];
const RIBBON = 12; // px: half for quality, half for gaps, one free
const LEAST = 4;
const AXIS = 58;

type Colours = (name: string) => string;

function hatch(g: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, step: number): void {
  g.save();
  g.beginPath();
  g.rect(x, y, w, h);
  g.clip();
  g.beginPath();
  for (let at = x - h; at < x + w; at += step) {
    g.moveTo(at, y + h);
    g.lineTo(at + h, y);
  }
  g.stroke();
  g.restore();
}

function drawSpans(u: uPlot, series: Series[], colour: Colours): void {
  const g = u.ctx;
  const ratio = devicePixelRatio;
  const { left, top, width, height } = u.bbox;
  g.save();
  g.lineWidth = ratio;
  g.setLineDash([]); // the last line's is still set
  series.forEach((s, row) => {
    const y = Math.round(top + height - (series.length - row) * RIBBON * ratio);
    const h = Math.round((RIBBON - 2) / 2 * ratio);
    for (const span of s.spans) {
      const x = Math.round(Math.max(left, u.valToPos(span.from, 'x', true)));
      const end = Math.min(left + width, span.to === null ? Infinity : u.valToPos(span.to, 'x', true));
      if (end < left || x > left + width) continue;
      const w = Math.max(Math.round(LEAST * ratio), Math.round(end - x)); // also the shortest can be seen
      if (span.state === 'gap') {
        g.strokeStyle = colour('--gap');
        g.globalAlpha = 0.35;
        hatch(g, x, top, w, height, 10 * ratio);
        g.globalAlpha = 1;
        g.strokeRect(x + ratio / 2, y + h + ratio / 2, w - ratio, h - ratio);
        hatch(g, x, y + h, w, h, 4 * ratio);
      } else if (span.state === 'bad') {
        g.fillStyle = colour('--bad');
        g.globalAlpha = 0.1;
        g.fillRect(x, top, w, height);
        g.globalAlpha = 1;
        g.fillRect(x, y, w, h);
      } else {
        g.fillStyle = colour('--warn');
        for (let at = x; at < x + w; at += 8 * ratio) g.fillRect(at, y, Math.min(5 * ratio, x + w - at), h);
      }
    }
  });
  g.restore();
}

/** A clock without halves of the day; the date where a day begins or steps are days. */
export function timeLabels(_: uPlot, splits: number[], __: number, ___: number, step: number): string[] {
  return splits.map((s) => {
    const t = new Date(s * 1000);
    const date = `${t.getMonth() + 1}-${String(t.getDate()).padStart(2, '0')}`;
    if (step >= 86_400) return date;
    const clock = showClock(s * 1000, step < 60);
    return clock === '00:00' ? `${date} ${clock}` : clock;
  });
}

/** Leaves room for the ribbons below the lines. */
function above(u: uPlot, ribbons: number, low: number, high: number): [number, number] {
  const foot = ribbons * RIBBON + 2;
  const height = Math.max(2 * foot, u.bbox.height / devicePixelRatio);
  return [low - (high - low) * foot / (height - foot), high];
}

function optionsFor(series: Series[], onoff: boolean, last: boolean, colour: Colours): uPlot.Options {
  let floor = 0; // of the lines: below are the ribbons
  const axis = { stroke: colour('--quiet'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line'), width: 1 }, font: '12px system-ui, sans-serif' };
  return {
    width: 100, height: 100, legend: { show: false }, padding: [8, 14, last ? 0 : 6, 0],
    cursor: {
      sync: { key: 'trend' }, y: false, drag: { x: true, y: false, setScale: false }, points: { size: 6 },
    },
    scales: {
      x: { time: true },
      y: {
        range: (u, low, high) => {
          const wide = onoff || low === null ? [-0.1, 1.1] : uPlot.rangeNum(low, high, 0.1, low === high);
          floor = wide[0]!;
          return above(u, series.length, floor, wide[1]!);
        },
      },
    },
    axes: [
      { ...axis, size: last ? 30 : 0, values: last ? timeLabels : (_, at) => at.map(() => ''), space: 70 },
      {
        ...axis, size: AXIS, space: 28, filter: (_, at) => at.map((v) => v < floor ? null : v),
        ...(onoff && { splits: () => [0, 1], values: () => ['off', 'on'] }),
      },
    ],
    series: [{}, ...series.map((s) => ({
      stroke: colour(`--s${s.colour}`), width: 1.5, dash: DASHES[s.colour], points: { show: false },
      paths: uPlot.paths.stepped!({ align: 1 }), // a value holds until the next
      gaps: (_: uPlot, __: number, ___: number, ____: number, gaps: uPlot.Series.Gaps) => // no trace of the step behind one
        gaps.map(([from, to]): [number, number] => [from, to + 2 * devicePixelRatio]),
    }))],
    hooks: {
      draw: [(u) => drawSpans(u, series, colour)],
      setCursor: [(u) => {
        const left = u.cursor.left ?? -1;
        trend.cursor = left >= 0 ? u.posToVal(left, 'x') : null;
        trend.changed();
      }],
      setSelect: [(u) => {
        if (u.select.width < 5) return;
        const [from, to] = [u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x')];
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        trend.show((to - from) * 1000, to * 1000);
      }],
    },
  };
}

export function Lane({ series, onoff, last, label }: { series: Series[]; onoff: boolean; last: boolean; label: string }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const dark = useMedia('(prefers-color-scheme: dark)');
  const who = series.map((s) => `${s.colour}${s.point.tag.path}`).join('\n');
  useEffect(() => {
    const place = box.current!;
    const style = getComputedStyle(document.documentElement);
    const u = new uPlot(optionsFor(series, onoff, last, (name) => style.getPropertyValue(name)), undefined, place);
    plot.current = u;
    const resize = new ResizeObserver(() => u.setSize({ width: place.clientWidth, height: place.clientHeight }));
    resize.observe(place);
    return () => {
      resize.disconnect();
      u.destroy();
      plot.current = null;
    };
  }, [who, onoff, last, dark]);
  useEffect(() => {
    const u = plot.current;
    if (!u) return;
    const { from, to } = trend.window();
    const now = trend.until === null && live.state === 'live' ? to / 1000 : null;
    const data = uPlot.join(series.map((s) => s.held(now) as uPlot.AlignedData));
    u.batch(() => {
      u.setData(data, false);
      u.setScale('x', { min: from / 1000, max: to / 1000 });
    });
  });
  return <div class={last ? 'lane last' : 'lane'}><div class="plot" role="img" aria-label={label} ref={box} /></div>;
}
