// SPDX-License-Identifier: Apache-2.0
// The plant as the console knows it: the tree of equipment, the current value of each tag, and for each piece of
// equipment how many of the tags below it are not well. Counts are kept up to date sample by sample, so that a tree of
// any size costs only what has changed.
import type { Device, Gap, Now, Sample, Tag, Value } from './api';

export type State = 'good' | 'uncertain' | 'bad' | 'gap' | 'none';

export interface Point {
  tag: Tag;
  node: Node;
  value: Value;
  status: string;
  time: number; // ms; 0: there has never been one
  state: State;
  why: string; // of the gap
  gapKeys: string[]; // whose gaps are this tag's: its own, its device's, its box's, everybody's
}

export interface Node {
  name: string;
  path: string;
  depth: number;
  parent: Node | null;
  children: Node[];
  point: Point | null;
  count: Record<State, number>; // of the tags at and below it
}

export class Observable {
  private watchers = new Set<() => void>();
  private waiting = 0;

  observe(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  /** Tells the watchers, once a frame. */
  changed(): void {
    this.waiting ||= requestAnimationFrame(() => {
      this.waiting = 0;
      this.watchers.forEach((w) => w());
    });
  }
}

function newNode(name: string, path: string, parent: Node | null): Node {
  return {
    name, path, parent, depth: parent ? parent.depth + 1 : 0, children: [], point: null,
    count: { good: 0, uncertain: 0, bad: 0, gap: 0, none: 0 },
  };
}

function keyOf(gap: Gap): string {
  if (gap.tag !== undefined) return `t${gap.tag}`;
  if (gap.device !== undefined) return `d${gap.device}`;
  return gap.box !== undefined ? `b${gap.box}` : '*';
}

/** Does the gap concern this tag? */
export const concerns = (gap: Gap, point: Point): boolean => point.gapKeys.includes(keyOf(gap));

/** The severity of an OPC UA StatusCode. */
export const severity = (code: number): 'good' | 'uncertain' | 'bad' => code >>> 30 === 0 ? 'good' : code >>> 30 === 1 ? 'uncertain' : 'bad';

export class Plant extends Observable {
  root = newNode('', '', null);
  points = new Map<string, Point>();
  private gaps = new Map<string, { to: number; why: string }>(); // the newest of each tag, device, box, or of all

  /** The plan may have changed: builds the tree anew, and keeps no old value. */
  setTags(tags: Tag[], devices: Device[]): void {
    this.root = newNode('', '', null);
    this.points.clear();
    this.gaps.clear();
    const boxOf = new Map(devices.map((d) => [d.name, d.box]));
    const nodes = new Map<string, Node>([['', this.root]]);
    for (const tag of tags) {
      const node = this.nodeOf(tag.path, nodes);
      const gapKeys = [`t${tag.path}`, `d${tag.device}`, `b${boxOf.get(tag.device)}`, '*'];
      node.point = { tag, node, value: null, status: '', time: 0, state: 'none', why: '', gapKeys };
      this.points.set(tag.path, node.point);
      for (let n: Node | null = node; n; n = n.parent) n.count.none++;
    }
    this.changed();
  }

  private nodeOf(path: string, nodes: Map<string, Node>): Node {
    const known = nodes.get(path);
    if (known) return known;
    const cut = path.lastIndexOf('/');
    const parent = this.nodeOf(cut < 0 ? '' : path.slice(0, cut), nodes);
    const node = newNode(path.slice(cut + 1), path, parent);
    parent.children.push(node);
    nodes.set(path, node);
    return node;
  }

  /** A value from the stream or from /now. An older one than we have is no news. */
  take(v: Sample | Now): void {
    const point = this.points.get(v.tag);
    const time = v.time ? Date.parse(v.time) : 0;
    if (!point || (v.time && time < point.time)) return;
    point.value = v.value;
    point.status = v.status;
    point.time = time;
    const gap = severity(v.code) === 'bad' ? undefined : this.gapOf(point);
    point.why = gap?.why ?? '';
    this.setState(point, !time && v.value === null && severity(v.code) !== 'bad' ? 'none' : gap ? 'gap' : severity(v.code));
    this.changed();
  }

  /** Records are missing: what that concerns is in a gap until it has a newer value. */
  takeGaps(gaps: Gap[]): void {
    for (const gap of gaps) {
      const key = keyOf(gap);
      const to = Date.parse(gap.to);
      if (to > (this.gaps.get(key)?.to ?? 0)) this.gaps.set(key, { to, why: gap.gap });
    }
    for (const point of gaps.length > 0 ? this.points.values() : []) {
      const newest = point.state === 'bad' || point.state === 'none' ? undefined : this.gapOf(point);
      if (newest) {
        point.why = newest.why;
        this.setState(point, 'gap');
      }
    }
    this.changed();
  }

  private gapOf(point: Point): { to: number; why: string } | undefined {
    for (const key of this.gaps.size > 0 ? point.gapKeys : []) {
      const gap = this.gaps.get(key);
      if (gap && gap.to > point.time) return gap;
    }
    return undefined;
  }

  private setState(point: Point, state: State): void {
    if (state === point.state) return;
    for (let n: Node | null = point.node; n; n = n.parent) {
      n.count[point.state]--;
      n.count[state]++;
    }
    point.state = state;
  }
}

export const tagsBelow = (n: Node): number => n.count.good + n.count.uncertain + n.count.bad + n.count.gap + n.count.none;
export const abnormalBelow = (n: Node): number => n.count.uncertain + n.count.bad + n.count.gap;

/** The rows of the tree that are to be seen: all below opened equipment, or while searching all that match. */
export function visibleRows(root: Node, opened: Set<string>, search: string, abnormal: boolean): Node[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const rows: Node[] = [];
  const matches = (p: Point): boolean => {
    if (abnormal && (p.state === 'good' || p.state === 'none')) return false;
    const text = `${p.tag.path} ${p.tag.description} ${p.tag.unit} ${p.tag.asset_type ?? ''}`.toLowerCase();
    return words.every((w) => text.includes(w));
  };
  const walk = (node: Node): boolean => {
    const at = rows.length;
    if (node.depth > 0) rows.push(node);
    if (words.length === 0 && !abnormal) {
      if (node.depth === 0 || opened.has(node.path)) node.children.forEach(walk);
      return true;
    }
    let hit = node.point !== null && matches(node.point);
    for (const child of node.children) hit = walk(child) || hit;
    if (!hit) rows.length = at;
    return hit;
  };
  walk(root);
  return rows;
}
