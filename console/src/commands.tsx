// SPDX-License-Identifier: Apache-2.0
// Commands: what waits for a second person, a form for a new one, those under way and what became of the last; and the
// write inhibit. What may be done is for the gateway to decide; here it is only said beforehand who may try.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { type Command, type Inhibit, type Writable, send } from './api';
import { plural, showTime, showUnit, showValue } from './format';
import { live } from './live';
import { type Column, Mark, Table, useObserved, usePolled, useTick } from './parts';
import type { State } from './plant';
import { session } from './session';

const LOOK_MS = 500;
const COMMAND_TIMEOUT_MS = 60_000; // a device has its time to be read back
const LAST_SHOWN = 30;

const OPEN = ['checked', 'waiting', 'sent', 'accepted'];
const STATES: Record<string, { state: State; words: string }> = {
  checked: { state: 'none', words: 'let through by the guard' },
  waiting: { state: 'none', words: 'waits for a second person' },
  sent: { state: 'none', words: 'sent to the device' },
  accepted: { state: 'none', words: 'accepted by the device' },
  confirmed: { state: 'good', words: 'confirmed: read back' },
  refused: { state: 'uncertain', words: 'refused' },
  expired: { state: 'uncertain', words: 'expired' },
  failed: { state: 'bad', words: 'failed' },
  unknown: { state: 'bad', words: 'not known' },
};
const LEASES: Record<string, string> = {
  held: 'lease runs', reverted: 'lease over: value went back', left: 'lease over: left as an operator had changed it', stuck: 'lease over: the value could not be put back',
};

const mayDo = (right: string): boolean => session.who?.rights.includes(right) ?? false;
const me = (): string => session.who ? (session.who.kind === 'person' ? `user:${session.who.name}` : session.who.name) : '';

function valueOf(c: Command, which: 'value' | 'before' | 'after'): string {
  const tag = live.plant.points.get(c.tag)?.tag;
  const value = c[which];
  if (value === undefined) return '–';
  return tag ? `${showValue(value, tag)} ${showUnit(tag.unit)}`.trim() : String(value);
}

/** "4:05" until then; nothing is left: "0:00". */
function left(until: string): string {
  const s = Math.max(0, Math.round((Date.parse(until) - live.now()) / 1000));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
}

function randomId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');
}

/** A button that waits for its answer; what went wrong stands beside it. */
function Act({ label, act, disabled }: { label: string; act: () => Promise<unknown>; disabled?: boolean }): JSX.Element {
  const [wrong, setWrong] = useState('');
  const [busy, setBusy] = useState(false);
  const go = async (): Promise<void> => {
    setBusy(true);
    setWrong('');
    await act().catch((e: Error) => setWrong(e.message));
    setBusy(false);
  };
  return (
    <>
      <button type="button" disabled={busy || disabled} onClick={go}>{busy ? 'One moment …' : label}</button>
      {wrong && <span class="status bad" role="alert"> <Mark state="bad" /> {wrong}</span>}
    </>
  );
}

const actOn = (c: Command, act: string) => (): Promise<unknown> => send('POST', `commands/${c.id}/${act}`, undefined, COMMAND_TIMEOUT_MS);

// ---- the inhibit

function InhibitBar({ inhibit }: { inhibit: Inhibit | null }): JSX.Element | null {
  const [reason, setReason] = useState('');
  if (!inhibit) return null;
  const stop = (): Promise<unknown> => send('POST', 'inhibit', reason ? { inhibit: true, reason } : { inhibit: true });
  if (inhibit.inhibited) {
    return (
      <p class="inhibit" role="status">
        <span class="status bad"><Mark state="bad" /> All writes are stopped</span>: {inhibit.reason}. They are let through again at the gateway itself only: <code>isthmus inhibit off</code>
      </p>
    );
  }
  return (
    <p class="inhibit" role="status">
      <span>Writes are let through, as the contracts allow.</span>
      {mayDo('inhibit') && (
        <>
          <label>Reason <input value={reason} maxLength={95} onInput={(e) => setReason(e.currentTarget.value)} /></label>
          <Act label="Stop all writes" act={stop} />
        </>
      )}
    </p>
  );
}

// ---- what waits

function Waiting({ command: c }: { command: Command }): JSX.Element {
  useTick(500);
  const own = c.who === me();
  const why = own ? 'You asked for it, so somebody else has to approve.' : !mayDo('approve') ? 'Sign in as somebody who may approve.' : '';
  return (
    <li class="waiting">
      <p><strong>{c.who}</strong> wants <strong>{c.tag}</strong> to be <strong>{valueOf(c, 'value')}</strong>; it was {valueOf(c, 'before')}.{c.reason && <> Why: “{c.reason}”</>}</p>
      <p class="bar">
        <span class="left" role="timer">{c.until ? left(c.until) : '–'} left</span>
        {!own && mayDo('approve') && <Act label="Approve" act={actOn(c, 'approve')} />}
        {(own || mayDo('approve')) && <Act label={own ? 'Withdraw' : 'Reject'} act={actOn(c, 'reject')} />}
        {why && <span class="quiet">{why}</span>}
      </p>
    </li>
  );
}

// ---- a new one

function Verdict({ told }: { told: Command | Error | null }): JSX.Element | null {
  if (!told) return null;
  if (told instanceof Error) return <p role="alert"><span class="status bad"><Mark state="bad" /> {told.message}</span></p>;
  const { state, words } = STATES[told.state] ?? { state: 'none', words: told.state };
  return <p role="status"><span class={`status ${state}`}><Mark state={state} /> {words}{state !== 'good' && <span class="detail">: {told.detail}</span>}</span></p>;
}

function Request({ writes }: { writes: Writable[] }): JSX.Element {
  useObserved(live);
  const [path, setPath] = useState('');
  const [value, setValue] = useState('');
  const [reason, setReason] = useState('');
  const [told, setTold] = useState<Command | Error | null>(null);
  const writable = writes.find((w) => w.tag === path) ?? writes[0];
  if (!writable) return <p class="quiet">No write contract lets anything be written: all tags are read-only.</p>;
  const point = live.plant.points.get(writable.tag);
  const unit = showUnit(writable.unit);
  const ask = async (dry: boolean): Promise<void> => {
    setTold(null);
    const number = Number(value);
    const wish = writable.type === 'bool' ? value === 'true' : writable.type.endsWith('64') && writable.type !== 'float64' ? value : number;
    const body = { tag: writable.tag, value: wish, id: randomId(), dry_run: dry, ...(reason && { reason }) };
    await send<Command>('POST', 'commands', body, COMMAND_TIMEOUT_MS).then(setTold, setTold);
  };
  return (
    <form class="request" onSubmit={(e) => e.preventDefault()}>
      <p>
        <label for="command-tag">What</label>
        <select id="command-tag" value={writable.tag} onChange={(e) => { setPath(e.currentTarget.value); setTold(null); }}>
          {writes.map((w) => <option key={w.tag} value={w.tag}>{w.tag}</option>)}
        </select>
      </p>
      <p class="quiet">Now {point?.value !== undefined ? `${showValue(point.value, point.tag)} ${unit}` : 'not known'}. Contract “{writable.contract}” of {writable.owner}: {writable.conditions}. Callers: {writable.callers.join(', ')}.</p>
      <p>
        <label for="command-value">To be{unit && ` (${unit})`}</label>
        {writable.type === 'bool'
          ? <select id="command-value" value={value} onChange={(e) => setValue(e.currentTarget.value)}><option value="">–</option><option value="true">on</option><option value="false">off</option></select>
          : <input id="command-value" type="number" step="any" min={writable.low} max={writable.high} value={value} onInput={(e) => setValue(e.currentTarget.value)} />}
      </p>
      <p>
        <label for="command-reason">Why</label>
        <input id="command-reason" maxLength={95} value={reason} onInput={(e) => setReason(e.currentTarget.value)} placeholder="it stands in the audit" />
      </p>
      <p class="bar">
        <Act label="Try (nothing is sent)" act={() => ask(true)} disabled={value === ''} />
        <Act label="Request" act={() => ask(false)} disabled={value === ''} />
        {!session.who && <span class="quiet">Nobody is signed in: it is asked in the name of the service.</span>}
      </p>
      <Verdict told={told} />
    </form>
  );
}

// ---- all

function StateOf({ command: c }: { command: Command }): JSX.Element {
  const { state, words } = STATES[c.state] ?? { state: 'none', words: c.state };
  return (
    <>
      {state === 'good' || state === 'none' ? words : <span class={`status ${state}`}><Mark state={state} /> {words}</span>}
      {(state !== 'good' || c.lease) && c.detail && <div class="detail">{c.detail}</div>}
      {c.approver && <div class="detail">approved by {c.approver}</div>}
    </>
  );
}

function Lease({ command: c }: { command: Command }): JSX.Element | null {
  useTick(1000);
  if (!c.lease) return null;
  if (c.lease !== 'held') return <span class={c.lease === 'stuck' ? 'status bad' : 'quiet'}>{LEASES[c.lease] ?? c.lease}</span>;
  return (
    <span class="bar">
      <span role="timer">{c.until ? left(c.until) : ''} left</span>
      {(mayDo('command') || !session.who) && <><Act label="Renew" act={actOn(c, 'renew')} /><Act label="End now" act={actOn(c, 'release')} /></>}
    </span>
  );
}

const COLUMNS: Column<Command>[] = [
  { head: 'Asked', cell: (c) => showTime(Date.parse(c.asked)) },
  { head: 'Tag', cell: (c) => <strong>{c.tag}</strong> },
  { head: 'From, to', cell: (c) => `${valueOf(c, 'before')} → ${valueOf(c, 'value')}` },
  { head: 'Read back', cell: (c) => valueOf(c, 'after') },
  { head: 'Who', cell: (c) => <>{c.who} {c.reason && <div class="detail">“{c.reason}”</div>}</> },
  { head: 'State', cell: (c) => <StateOf command={c} /> },
  { head: 'Lease', cell: (c) => <Lease command={c} /> },
];

const isWaiting = (c: Command): boolean => c.state === 'waiting';
export const commandsWaiting = (list: Command[]): number => list.filter(isWaiting).length;

export function CommandsPage(): JSX.Element {
  useObserved(session);
  const commands = usePolled<{ commands: Command[] }>('commands', LOOK_MS).now?.commands;
  const inhibit = usePolled<Inhibit>('inhibit', LOOK_MS).now;
  const writes = usePolled<{ writes: Writable[] }>('writes', 10_000).now?.writes;
  const list = [...commands ?? []].reverse();
  const isOpen = (c: Command): boolean => OPEN.includes(c.state) || c.lease === 'held';
  const waiting = list.filter(isWaiting);
  return (
    <section aria-labelledby="commands-title" class="commands">
      <h2 id="commands-title">Commands</h2>
      <InhibitBar inhibit={inhibit} />
      {waiting.length > 0 && <h3>{plural(waiting.length, 'command')} {waiting.length === 1 ? 'waits' : 'wait'} for a second person</h3>}
      <ul class="plain">{waiting.map((c) => <Waiting key={c.id} command={c} />)}</ul>
      <h3>A new command</h3>
      {writes ? <Request writes={writes} /> : <p class="quiet">Loading …</p>}
      <h3>Under way</h3>
      <Table label="Commands under way" columns={COLUMNS} rows={list.filter((c) => isOpen(c) && !isWaiting(c))} keyOf={(c) => c.id} empty={commands ? 'None.' : 'Loading …'} />
      <h3>The last ones</h3>
      <Table label="Commands that ended" columns={COLUMNS} rows={list.filter((c) => !isOpen(c)).slice(0, LAST_SHOWN)} keyOf={(c) => c.id} empty={commands ? 'None yet. The audit has all that ever were.' : 'Loading …'} />
    </section>
  );
}
