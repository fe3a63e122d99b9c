// SPDX-License-Identifier: Apache-2.0
// The tree with its live values. Only the rows in view are in the document, whatever the plant's size. The focus stays
// on the grid itself and points to a row (aria-activedescendant), so it cannot be lost with a row that leaves the view.
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { plural, showAge, showStatus, showUnit, showValue } from './format';
import { live } from './live';
import { Mark, Status, useMedia } from './parts';
import { type Node, type Point, abnormalBelow, tagsBelow } from './plant';
import { drawable, trend } from './series';

const SPARE_ROWS = 8; // beyond each edge
const HEADS = ['Equipment and tags', 'Value', 'Unit', 'Status', 'Age', 'Trend'];

function Group({ node, open }: { node: Node; open: boolean }): JSX.Element {
  const abnormal = abnormalBelow(node);
  return (
    <>
      <span role="gridcell" class="name"><span class="twist" aria-hidden="true">{open ? '▾' : '▸'}</span>{node.name}</span>
      <span role="gridcell" class="below quiet">
        {plural(tagsBelow(node), 'tag')}
        {abnormal > 0 && (['bad', 'uncertain', 'gap'] as const).map((state) => node.count[state] > 0 &&
          <span key={state} class={`status ${state}`}> <Mark state={state} /> {node.count[state]}</span>)}
      </span>
    </>
  );
}

function Leaf({ point: p, label }: { point: Point; label: string }): JSX.Element {
  const chosen = trend.has(p);
  const detail = p.state === 'gap' ? p.why : showStatus(p.status);
  return (
    <>
      <span role="gridcell" class="name" title={p.tag.description || undefined}>{label} {p.tag.description !== label && <span class="quiet about">{p.tag.description}</span>}</span>
      <span role="gridcell" class="value" title={p.value === null ? undefined : String(p.value)}>{showValue(p.value, p.tag)}</span>
      <span role="gridcell" class="unit quiet">{showUnit(p.tag.unit)}</span>
      <span role="gridcell" class="state"><Status state={p.state} detail={detail} /></span>
      <span role="gridcell" class="age quiet">{p.time ? showAge(live.now() - p.time) : '–'}</span>
      <span role="gridcell" class="pick" aria-label={chosen ? 'in the trend' : drawable(p.tag) ? 'not in the trend' : 'text has no trend'}>
        {drawable(p.tag) && <span class={chosen ? 'box on' : 'box'} aria-hidden="true" />}
      </span>
    </>
  );
}

/** What Enter, Space or a click does. */
function act(node: Node, toggle: (node: Node) => void): void {
  if (node.point) trend.toggle(node.point);
  else toggle(node);
}

export function Grid({ rows, isOpen, toggle, flat }: {
  rows: Node[]; isOpen: (node: Node) => boolean; toggle: (node: Node) => void; flat: boolean;
}): JSX.Element {
  const height = useMedia('(max-width: 700px)') ? 52 : 30;
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [focus, setFocus] = useState('');
  const at = Math.max(0, rows.findIndex((n) => n.path === focus));
  useEffect(() => {
    const grid = box.current!;
    const measure = new ResizeObserver(() => setView((v) => ({ ...v, height: grid.clientHeight })));
    measure.observe(grid);
    return () => measure.disconnect();
  }, []);

  const go = (to: number): void => {
    const index = Math.max(0, Math.min(rows.length - 1, to));
    const grid = box.current!;
    setFocus(rows[index]?.path ?? '');
    if (index * height < grid.scrollTop) grid.scrollTop = index * height;
    const below = (index + 2) * height - grid.clientHeight; // the head covers one row
    if (below > grid.scrollTop) grid.scrollTop = below;
  };
  const onKey = (e: KeyboardEvent): void => {
    const node = rows[at];
    if (!node || e.ctrlKey || e.altKey || e.metaKey) return;
    const page = Math.max(1, Math.floor(view.height / height) - 2);
    const moves: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: rows.length - 1 };
    const target = moves[e.key];
    if (target !== undefined) go(target);
    else if (e.key === 'Enter' || e.key === ' ') act(node, toggle);
    else if (e.key === 'ArrowRight' && !node.point) isOpen(node) ? go(at + 1) : toggle(node);
    else if (e.key === 'ArrowLeft' && !node.point && isOpen(node) && !flat) toggle(node);
    else if (e.key === 'ArrowLeft') go(rows.indexOf(node.parent!));
    else return;
    e.preventDefault();
  };

  const first = Math.max(0, Math.floor(view.top / height) - SPARE_ROWS);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / height) + SPARE_ROWS);
  const shown = rows.slice(first, last);
  return (
    <div class="grid" role="treegrid" tabIndex={0} ref={box} aria-label="Plant" aria-rowcount={rows.length + 1} aria-multiselectable="true"
      aria-activedescendant={at >= first && at < last ? `row-${at}` : undefined} onKeyDown={onKey}
      onScroll={() => setView((v) => ({ ...v, top: box.current!.scrollTop }))}>
      <div role="row" class="row head" aria-rowindex={1}>
        {HEADS.map((h) => <span key={h} role="columnheader" class={`h-${h.split(' ')[0]!.toLowerCase()}`}>{h}</span>)}
      </div>
      <div role="rowgroup" class="space" style={{ height: `${rows.length * height}px` }}>
        {shown.map((node, i) => {
          const index = first + i;
          const group = node.children.length > 0 || !node.point;
          return (
            <div key={node.path} id={`row-${index}`} role="row" class={`row ${node.point ? 'leaf' : 'group'}${index === at ? ' focus' : ''}`}
              aria-rowindex={index + 2} aria-level={node.depth} aria-expanded={group ? isOpen(node) : undefined} data-path={node.path}
              aria-selected={node.point ? trend.has(node.point) : undefined} aria-disabled={node.point && !drawable(node.point.tag) ? true : undefined}
              style={{ top: `${index * height}px`, height: `${height}px`, '--depth': node.depth - 1 }}
              onClick={() => { setFocus(node.path); act(node, toggle); }}>
              {node.point ? <Leaf point={node.point} label={node.name} /> : <Group node={node} open={isOpen(node)} />}
            </div>
          );
        })}
      </div>
    </div>
  );
}
