// SPDX-License-Identifier: Apache-2.0
// The API as docs/openapi.yaml describes it: the types that the console uses, and one way to ask.

export interface Gateway { name: string; description: string; version: string; generation: number; tags: number; time: string }
export interface Tag {
  id: number; path: string; type: string; unit: string; description: string; device: string;
  asset_type?: string; low?: number; high?: number;
}
export type Value = number | string | boolean | null;
export interface Now { tag: string; value: Value; status: string; code: number; time?: string }
export interface Sample { tag: string; value: Value; status: string; code: number; time: string }
export interface Gap {
  gap: string; from: string; to: string; produced: number; missed: number; time: string; seq: string;
  tag?: string; device?: string; box?: string; scope?: 'all';
}
export interface Happening { event: string; text: string; time: string; seq: string; box?: string; device?: string }
export type Note = Gap | Happening;
export type Journaled = Sample | Note;
export interface Account { produced: number; journaled: number; suppressed: number; rejected: number; gaps: number; balanced: boolean }
export interface TagLedger extends Account { tag: string }
export interface Ledger { tags: TagLedger[]; total: Account; since?: string }
export interface Cause {
  cause: string; records: number; produced: number; missed: number; from: string; to: string;
  tag?: string; device?: string; box?: string; scope?: 'all';
}
export interface Feed {
  contract: string; service: string; connected: boolean; tags: number; since: string; journaled: number; delivered: number;
  pending: number; gaps: number; dropped: number; balanced: boolean;
  confirmed_seq: string; head_seq: string;
}
export interface Side { name: string; signed: boolean; at?: string; key?: string; throw_away?: boolean }
export interface MissingCause { cause: string; records: number; missing: number; from: string; to: string; tag?: string; device?: string; box?: string }
export interface Report {
  since: string | null; delivered: number; missing: number; completeness: number | null; in_time: number | null;
  p50_ms: number; p99_ms: number;
}
export interface Contract {
  contract: string; service: string; effect: 'trial' | 'signed' | 'partly' | 'unsigned'; owner: Side; custodian: Side;
  missing: string; digest: string; purpose: string; classification: string; retention: string; returns: string;
  freshness_ms: number; completeness: number | null; tags: number; held_tags: number; day: Report; week: Report;
}
export interface ContractDetails extends Contract {
  week: Report & { causes: MissingCause[] };
  tag_list: { tag: string; type: string; unit: string; low?: number; high?: number; delivered: boolean }[];
}
export interface Device {
  name: string; description: string; box: string; state: string; reason: string; since: string; last_reply: string;
  tags: number; period_ms: number; requests: number; replies: number; timeouts: number; exceptions: number;
  reconnects: number; latency_us: number;
}
export interface Process {
  name: string; state: string; pid: number; restarts: number; reason: string; since: string; cpu_seconds: number;
  pss_bytes: number; ring_permille: number; layers_missing: string[]; certificate_ends?: string;
}
export interface Journal {
  disk_bytes: number; limit_bytes: number; written_seq: string; durable_seq: string; flush_ms: number; failures: number; full: boolean;
  room_bytes: number; sealed: Sealed; forecast?: Forecast;
}
export interface Sealed {
  files: number; bytes: number; samples: number; waiting_segments: number; held_segments: number; damaged: number; failures: number;
}
export interface Forecast {
  growth_bytes_per_day: number; full_by: 'never' | 'limit' | 'disk'; full_in_days?: number;
  flash_bytes_per_day: number; flash_endurance_bytes?: number; flash_years?: number;
}

export interface Session {
  name: string; kind: 'person' | 'token' | 'local' | 'vouched'; role: string; rights: string[]; zones?: string[]; since: string;
  ends_in_s: number; idle_s: number; csrf: string;
}

export interface TokenRow {
  name: string; role: string; zones: string; open: boolean; sessions: number; created: string; expires?: string; last_sign_in?: string;
  from: string; maker: string;
}
export interface AccountRow {
  name: string; role: string; zones: string; open: boolean; sessions: number; created: string; expires?: string; last_sign_in?: string;
  totp: boolean; disabled: boolean; vouched: boolean; slowed_s: number;
}
export interface Provider { name: string; label: string }

export interface Command {
  id: string; tag: string; state: string; detail: string; reason: string; who: string; asked: string; changed: string;
  value: Value; before?: Value; after?: Value; approver?: string; lease?: string; until?: string; service?: string;
}
export interface Writable {
  tag: string; type: string; unit: string; contract: string; owner: string; low?: number; high?: number;
  callers: string[]; approvers: string[]; approval: boolean; lease: boolean; conditions: string;
}
export interface AuditEntry {
  number: number; time: string; kind: string; who?: string; where?: string; subject?: string; before?: Value; after?: Value; text?: string; id?: string;
}
export interface AuditPage { entries: AuditEntry[]; more: boolean; before?: string }
export interface AuditProof {
  checking: boolean; error?: string; checked?: string; sound?: boolean; entries?: number; proven?: number; key?: string; damaged?: number; file?: string; reason?: string;
}
export interface Figures { values: number; queries: number; reads_refused: number; commands_allowed: number; commands_refused: number }
export interface Flow extends Figures { service: string; from: string | null; to: string; hours: (Figures & { hour: string })[] }
export interface Zone { zone: string; tags: number; devices: string[]; services: string[] }
export interface Conduit { conduit: string; from: string; to: string; read: boolean; command: boolean; all_tags: boolean; tags: string[]; open: boolean; until?: string; place: string }
export interface Zones { flows: Flow[]; zones: Zone[]; conduits: Conduit[] }
export interface Inhibit { inhibited: boolean; reason: string }
export interface Island { island: boolean; services_outside: number; reason: string }

export const isGap = (r: Journaled): r is Gap => 'gap' in r;
export const isHappening = (r: Journaled): r is Happening => 'event' in r;

const TIMEOUT_MS = 10_000;
const HISTORY_TIMEOUT_MS = 120_000; // a week is read from disk

/** What the gateway would not do, and why. */
export class Problem extends Error {
  constructor(readonly status: number, told: { title?: string; detail?: string }) {
    super([told.title ?? `HTTP ${status}`, told.detail].filter(Boolean).join(': '));
  }
}

let csrf = ''; // the session's word, without which its cookie changes nothing
export const setCsrf = (word: string): void => { csrf = word; };
export const csrfHeader = (): Record<string, string> => csrf ? { 'X-Isthmus-CSRF': csrf } : {};

async function ask<T>(path: string, timeout: number, more: RequestInit): Promise<T> {
  const reply = await fetch(`/api/v1/${path}`, { signal: AbortSignal.timeout(timeout), ...more });
  if (!reply.ok) throw new Problem(reply.status, await reply.json().catch(() => ({})) as { title?: string; detail?: string });
  return await reply.json() as T;
}

export const get = <T>(path: string, timeout = TIMEOUT_MS): Promise<T> => ask<T>(path, timeout, {});

export const send = <T>(method: 'POST' | 'DELETE', path: string, body?: object, timeout = TIMEOUT_MS): Promise<T> => ask<T>(path, timeout, {
  method, headers: { 'Content-Type': 'application/json', ...csrfHeader() }, body: body && JSON.stringify(body),
});

export async function getTags(): Promise<Tag[]> {
  const tags: Tag[] = [];
  for (let after: number | undefined = 0; after !== undefined;) {
    const part: { tags: Tag[]; next_after?: number } = await get(`tags?after=${after}`);
    tags.push(...part.tags);
    after = part.next_after;
  }
  return tags;
}

/** A tag's samples between two times in ms, thinned out to what a screen can show. */
export async function getHistory(tag: string, from: number, to: number, points: number): Promise<Sample[]> {
  const window = `from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}`;
  const path = `history?tag=${encodeURIComponent(tag)}&${window}&points=${points}`;
  return (await get<{ samples: Sample[] }>(path, HISTORY_TIMEOUT_MS)).samples;
}

/** Gaps and events, the newest last, that were noted since a time in ms; with a tag, the gaps that concern it. */
export async function getNotes(from: number, tag?: string): Promise<Note[]> {
  const of = tag ? `&tag=${encodeURIComponent(tag)}` : '';
  return (await get<{ records: Note[] }>(`gaps?from=${new Date(from).toISOString()}${of}`, HISTORY_TIMEOUT_MS)).records;
}
