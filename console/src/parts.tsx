// SPDX-License-Identifier: Apache-2.0
// Small parts that the pages share. All text goes through Preact as text, never as markup.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { get } from './api';
import { live } from './live';
import type { Observable, State } from './plant';

/** Draws the component again whenever `what` has changed. */
export function useObserved(what: Observable): void {
  const [, redraw] = useState(0);
  useEffect(() => what.observe(() => redraw((n) => n + 1)), [what]);
}

/** Draws the component again every so many ms. */
export function useTick(ms: number): void {
  const [, redraw] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => redraw((n) => n + 1), ms);
    return () => clearInterval(timer);
  }, [ms]);
}

export function useMedia(query: string): boolean {
  const [matches, set] = useState(matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const changed = (): void => set(media.matches);
    media.addEventListener('change', changed);
    return () => media.removeEventListener('change', changed);
  }, [query]);
  return matches;
}

/** What `path` answers, asked again every so many ms while the gateway is there; the one before as well, for rates. */
export function usePolled<T>(path: string, ms: number): { now: T | null; before: T | null; at: number; span: number } {
  useObserved(live);
  const [answer, set] = useState<{ now: T | null; before: T | null; at: number; span: number }>({ now: null, before: null, at: 0, span: 0 });
  const there = live.state === 'live';
  useEffect(() => {
    if (!there) return undefined;
    let timer = 0;
    let left = false;
    const ask = async (): Promise<void> => {
      try {
        const now = await get<T>(path);
        if (!left) set((old) => ({ now, before: old.now, at: performance.now(), span: performance.now() - old.at }));
      } catch {
        // the banner tells when the gateway is away; here the answer before stays
      }
      if (!left) timer = window.setTimeout(ask, ms);
    };
    ask();
    return () => {
      left = true;
      clearTimeout(timer);
    };
  }, [path, ms, there]);
  return answer;
}

const WORDS: Record<State, string> = { good: 'Good', uncertain: 'Uncertain', bad: 'Bad', gap: 'Gap', none: 'No value yet' };

/** The state's mark: its own shape for each, so that it needs no colour. Good has none: calm is the normal. */
export function Mark({ state }: { state: State }): JSX.Element | null {
  if (state === 'good' || state === 'none') return null;
  const shape = {
    bad: <><path class="solid" d="M1 1h12v12h-12z" /><path class="cut" d="M4 4l6 6M10 4l-6 6" /></>,
    uncertain: <><path class="solid" d="M7 0.5l7 13h-14z" /><path class="cut" d="M7 5v4M7 10.5v1.5" /></>,
    gap: <path class="open" d="M1 1h12v12h-12zM1 7l6-6M1 13l12-12M7 13l6-6" />,
  }[state];
  return <svg class={`mark ${state}`} viewBox="0 0 14 14" role="img" aria-label={WORDS[state]}>{shape}</svg>;
}

export function Status({ state, detail }: { state: State; detail: string }): JSX.Element {
  return (
    <span class={`status ${state}`} title={detail || undefined}>
      <Mark state={state} /> {WORDS[state]}{detail && <span class="detail">: {detail}</span>}
    </span>
  );
}

export interface Column<T> { head: string; cell: (row: T) => ComponentChildren; number?: boolean }

/** A table that a narrow screen shows as one card a row: hence its roles are spelt out and each cell knows its head. */
export function Table<T>({ label, columns, rows, keyOf, empty }: {
  label: string; columns: Column<T>[]; rows: T[]; keyOf: (row: T) => string; empty: string;
}): JSX.Element {
  if (rows.length === 0) return <p class="quiet">{empty}</p>;
  return (
    <table role="table" aria-label={label}>
      <thead role="rowgroup">
        <tr role="row">{columns.map((c) => <th key={c.head} role="columnheader" scope="col" class={c.number ? 'number' : ''}>{c.head}</th>)}</tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map((row) => (
          <tr role="row" key={keyOf(row)}>
            {columns.map((c) => <td key={c.head} role="cell" data-head={c.head} class={c.number ? 'number' : ''}><div>{c.cell(row)}</div></td>)}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
