// SPDX-License-Identifier: Apache-2.0
// The devices: does each answer, how fast, and what went wrong.
import type { JSX } from 'preact';
import type { Device } from './api';
import { plural, showAge, showCount, showTime } from './format';
import { live } from './live';
import { type Column, Status, Table, usePolled } from './parts';
import type { State } from './plant';

export const deviceUnwell = (d: Device): boolean => d.state !== 'up';

const STATES: Record<string, State> = { up: 'good', degraded: 'uncertain', connecting: 'uncertain', down: 'bad' };

function DeviceState({ device }: { device: Device }): JSX.Element {
  const state = STATES[device.state] ?? 'none';
  return (
    <>
      {state === 'good' || state === 'none' ? device.state : <span class={`status ${state}`}><Status state={state} detail={device.state} /></span>}
      {device.reason && state !== 'good' && <div class="detail">{device.reason}</div>}
    </>
  );
}

function Errors({ device: d }: { device: Device }): JSX.Element {
  if (d.timeouts + d.exceptions + d.reconnects === 0) return <span class="quiet">none</span>;
  const parts = [
    d.timeouts > 0 && plural(d.timeouts, 'timeout'),
    d.exceptions > 0 && plural(d.exceptions, 'exception'),
    d.reconnects > 0 && plural(d.reconnects, 'reconnect'),
  ];
  return <>{parts.filter(Boolean).join(', ')}</>;
}

const latency = (d: Device): string => d.replies > 0 ? `${(d.latency_us / 1000).toFixed(d.latency_us < 10_000 ? 2 : 0)} ms` : '–';

function lastReply(d: Device): string {
  const at = Date.parse(d.last_reply);
  return at > 0 ? `${showAge(live.now() - at)} ago` : 'never';
}

const COLUMNS: Column<Device>[] = [
  { head: 'Device', cell: (d) => <><strong>{d.name}</strong> <span class="quiet">{d.description}</span></> },
  { head: 'State', cell: (d) => <DeviceState device={d} /> },
  { head: 'Since', cell: (d) => showTime(Date.parse(d.since)) },
  { head: 'Last answer', cell: lastReply, number: true },
  { head: 'Latency', cell: latency, number: true },
  { head: 'Errors', cell: (d) => <Errors device={d} /> },
  { head: 'Requests', cell: (d) => showCount(d.requests), number: true },
  { head: 'Tags', cell: (d) => showCount(d.tags), number: true },
  { head: 'Period', cell: (d) => `${showCount(d.period_ms)} ms`, number: true },
];

export function DevicesPage(): JSX.Element {
  const { now } = usePolled<{ devices: Device[] }>('devices', 1000);
  const devices = now?.devices ?? [];
  const unwell = devices.filter(deviceUnwell).length;
  return (
    <section aria-labelledby="devices-title">
      <h2 id="devices-title">Devices</h2>
      <p class="summary" role="status">
        {now && (unwell > 0 ? `${showCount(unwell)} of ${plural(devices.length, 'device')} not well.` : `${plural(devices.length, 'device')}, all answer.`)}
      </p>
      <Table label="Devices" columns={COLUMNS} rows={devices} keyOf={(d) => d.name} empty={now ? 'No devices are configured.' : 'Loading …'} />
    </section>
  );
}
