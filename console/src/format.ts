// SPDX-License-Identifier: Apache-2.0
// How values, units, times and amounts are written for people.
import type { Tag, Value } from './api';

const MISSING = '–';

/** As many decimals as four digits over the tag's range leave, so that a live value keeps its width. */
export function decimalsOf(tag: Tag): number | null {
  if (!tag.type.startsWith('float') && !(tag.low !== undefined && tag.type.includes('int'))) return null;
  if (tag.low === undefined || tag.high === undefined || tag.high <= tag.low) return null;
  return Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(tag.high - tag.low))));
}

export function showValue(value: Value | undefined, tag: Tag): string {
  if (value === null || value === undefined) return MISSING;
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (typeof value === 'string') return value;
  const decimals = decimalsOf(tag);
  if (decimals !== null) return value.toFixed(decimals);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
}

const UNITS: Record<string, string> = { Cel: '°C', '[degF]': '°F', Ohm: 'Ω', '1': '', deg: '°' };

/** UCUM as it is usually printed: m3/h → m³/h, kW.h → kW·h. */
export function showUnit(ucum: string): string {
  return UNITS[ucum] ?? ucum
    .replace(/([a-zA-Z])([23])(?!\d)/g, (_, letter: string, power: string) => letter + (power === '2' ? '²' : '³'))
    .replace(/\./g, '·');
}

/** "BadNoCommunication" → "no communication". */
export function showStatus(status: string): string {
  if (status === 'UncertainEngineeringUnitsExceeded') return 'outside range';
  const words = status.replace(/^(Bad|Uncertain|Good)/, '').replace(/([a-z])([A-Z])/g, '$1 $2');
  return words.toLowerCase();
}

export function showAge(ms: number): string {
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172_800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86_400)} d`;
}

const two = (n: number): string => String(n).padStart(2, '0');

export function showClock(ms: number, seconds = true): string {
  const t = new Date(ms);
  return `${two(t.getHours())}:${two(t.getMinutes())}${seconds ? `:${two(t.getSeconds())}` : ''}`;
}

export function showDate(ms: number): string {
  const t = new Date(ms);
  return `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())}`;
}

/** The time alone if it is today's. The API writes what never was as 1970. */
export function showTime(ms: number, now = Date.now()): string {
  if (!(ms > 0)) return MISSING;
  return showDate(ms) === showDate(now) ? showClock(ms) : `${showDate(ms)} ${showClock(ms)}`;
}

/** "3 hours", "41 days", "12 years". */
export function showSpan(days: number): string {
  if (days < 2) return plural(Math.round(days * 24), 'hour');
  if (days < 730) return plural(Math.round(days), 'day');
  return days < 365_250 ? plural(Math.round(days / 365.25), 'year') : 'over 1,000 years';
}

const NUMBERS = new Intl.NumberFormat('en-GB');
export const showCount = (n: number | bigint): string => NUMBERS.format(n);

/** 0.99987 of it → "99.98 %": never rounded up to all, nor down to nothing. */
export function showShare(part: number, whole: number): string {
  if (whole === 0 || part >= whole) return part >= whole && whole > 0 ? '100 %' : MISSING;
  return `${(Math.floor(part / whole * 10_000) / 100).toFixed(2)} %`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${showCount(n)} ${n === 1 ? one : many}`;
}

export function showBytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return `${i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

/** Gives the user a file. */
export function save(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
