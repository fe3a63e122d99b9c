// SPDX-License-Identifier: Apache-2.0
// The first page: the plant as a tree with search, live values in it, and the trend of the chosen tags beside it.
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { plural, showCount } from './format';
import { Grid } from './grid';
import { live } from './live';
import { useObserved, useTick } from './parts';
import { type Node, abnormalBelow, tagsBelow, visibleRows } from './plant';
import { MAX_SERIES, trend } from './series';
import { TrendPanel } from './trend';

const FIRST_ROWS = 60; // so many at most are open at first

// What stays when another page is looked at.
const kept = { opened: null as Set<string> | null, search: '', abnormal: false };

/** Opens level by level as long as few rows are to be seen, then the first branch down to its tags. */
function openFirst(root: Node): Set<string> {
  const opened = new Set<string>();
  let level = root.children;
  for (let rows = level.length; level.length > 0;) {
    const next = level.flatMap((n) => n.children);
    rows += next.length;
    if (rows > FIRST_ROWS && level.length > 1) break;
    level.forEach((n) => opened.add(n.path));
    level = next;
  }
  for (let n = level[0]; n && n.children.length > 0; n = n.children[0]) opened.add(n.path);
  return opened;
}

export function PlantPage(): JSX.Element {
  const plant = live.plant;
  useObserved(plant);
  useObserved(trend);
  useTick(1000); // ages
  const [search, setSearch] = useState(kept.search);
  const [abnormal, setAbnormal] = useState(kept.abnormal);
  const [turn, setTurn] = useState(0);
  const root = plant.root;
  if (!kept.opened && root.children.length > 0) kept.opened = openFirst(root);
  const opened = kept.opened ?? new Set<string>();
  const flat = search.trim() !== '' || abnormal;
  const fresh = abnormal ? {} : null; // what is abnormal changes with the values: never the rows of before
  const rows = useMemo(() => visibleRows(root, opened, search, abnormal), [root, opened, turn, search, fresh]);
  const toggle = (node: Node): void => {
    if (flat) return;
    if (!opened.delete(node.path)) opened.add(node.path);
    setTurn(turn + 1);
  };
  const found = flat ? rows.filter((n) => n.point).length : tagsBelow(root);
  const unwell = abnormalBelow(root);
  return (
    <div class="plant">
      <section class="tree" aria-label="Plant and values">
        <div class="bar" role="search">
          <input type="search" aria-label="Search tags" placeholder="Search: pump1 flow" value={search} autocomplete="off" spellcheck={false}
            onInput={(e) => setSearch(kept.search = e.currentTarget.value)} />
          <label><input type="checkbox" checked={abnormal} onChange={(e) => setAbnormal(kept.abnormal = e.currentTarget.checked)} /> only abnormal</label>
          <span class="quiet" role="status" data-test="count">
            {flat ? `${showCount(found)} of ${plural(tagsBelow(root), 'tag')}` : `${plural(found, 'tag')}, ${unwell > 0 ? `${showCount(unwell)} abnormal` : 'all good'}`}
          </span>
        </div>
        {rows.length === 0 && live.state === 'live' && <p class="quiet">{tagsBelow(root) === 0 ? 'No tags are configured.' : 'No tag matches.'}</p>}
        <p class="note" role="status">{trend.full ? `At most ${MAX_SERIES} tags fit into the trend: remove one first.` : ''}</p>
        <Grid rows={rows} isOpen={(n) => flat || opened.has(n.path)} toggle={toggle} flat={flat} />
      </section>
      <TrendPanel />
    </div>
  );
}
