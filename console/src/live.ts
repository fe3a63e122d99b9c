// SPDX-License-Identifier: Apache-2.0
// The line to the gateway: opens the stream, loads what is current, feeds the plant, notices when the gateway is away
// and comes back by itself. Everything else asks `live` how things stand.
import { type Device, type Gap, type Gateway, type Journaled, type Now, type Sample, get, getNotes, getTags, isGap, isHappening } from './api';
import { Observable, Plant } from './plant';
import { session } from './session';

const CHECK_MS = 5000; // is it still there? what changed without a sample?
const RETRY_MS = [500, 1000, 2000, 4000];
const SETTLE_MS = 300; // events come in crowds
const DAY_MS = 86_400_000;

type Listener = { sample(s: Sample): void; gap(g: Gap): void; reset(): void };

class Live extends Observable {
  state: 'connecting' | 'live' | 'lost' | 'closed' = 'connecting'; // closed: until somebody signs in
  lostSince = 0;
  why = '';
  gateway: Gateway | null = null;
  plant = new Plant();
  private socket: WebSocket | null = null;
  private attempt = 0;
  private starts = 0;
  private timer = 0;
  private settling = 0;
  private offset = 0; // the gateway's clock minus ours, ms
  private listeners = new Set<Listener>();

  /** The gateway's time: ages are told by one clock. */
  now(): number {
    return Date.now() + this.offset;
  }

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  start(): void {
    clearTimeout(this.timer);
    this.socket = null;
    const mine = ++this.starts;
    session.load().then(
      () => mine === this.starts && this.open(),
      (e: Error) => mine === this.starts && this.lose(e.message, null),
    );
  }

  private open(): void {
    if (session.needed) {
      this.state = 'closed';
      this.changed();
      return;
    }
    const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/v1/ws`);
    this.socket = socket;
    socket.onopen = () => {
      socket.send(JSON.stringify({ subscribe: { mode: 'latest' } }));
      this.load().then(() => this.arrived(socket), (e: Error) => this.lose(e.message, socket));
    };
    socket.onmessage = (message: MessageEvent<string>) => this.take(JSON.parse(message.data) as Journaled[]);
    socket.onclose = () => this.lose('The connection is closed', socket);
  }

  retryNow(): void {
    if (this.state !== 'live') this.start();
  }

  private arrived(socket: WebSocket): void {
    if (socket !== this.socket) return;
    this.state = 'live';
    this.attempt = 0;
    this.timer = window.setTimeout(() => this.check(socket), CHECK_MS);
    this.listeners.forEach((l) => l.reset());
    this.changed();
  }

  private lose(why: string, socket: WebSocket | null): void {
    if (socket !== this.socket) return; // an attempt that was given up
    this.socket = null;
    socket?.close();
    if (this.state !== 'lost') this.lostSince = Date.now();
    this.state = 'lost';
    this.why = why;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.start(), RETRY_MS[Math.min(this.attempt++, RETRY_MS.length - 1)]);
    this.changed();
  }

  private async load(): Promise<void> {
    const before = this.gateway;
    await this.loadGateway();
    if (!before || before.generation !== this.gateway!.generation || before.name !== this.gateway!.name) {
      const [tags, { devices }] = await Promise.all([getTags(), get<{ devices: Device[] }>('devices')]);
      this.plant.setTags(tags, devices);
    }
    await this.loadNow();
    this.plant.takeGaps((await getNotes(this.now() - DAY_MS)).filter(isGap));
  }

  private async loadGateway(): Promise<void> {
    const asked = Date.now();
    this.gateway = await get<Gateway>('gateway');
    this.offset = Date.parse(this.gateway.time) - (asked + Date.now()) / 2;
    this.changed();
  }

  /** A value can turn bad without a sample: when its box or device is gone. */
  private async loadNow(): Promise<void> {
    (await get<{ values: Now[] }>('now')).values.forEach((v) => this.plant.take(v));
  }

  private async check(socket: WebSocket): Promise<void> {
    try {
      const generation = this.gateway?.generation;
      await this.loadGateway();
      if (this.gateway?.generation !== generation) throw new Error('The configuration has changed');
      await this.loadNow();
      this.timer = window.setTimeout(() => this.check(socket), CHECK_MS);
    } catch (e) {
      this.lose((e as Error).message, socket);
    }
  }

  private take(records: Journaled[]): void {
    let happened = false;
    for (const r of records) {
      if (isGap(r)) {
        this.plant.takeGaps([r]);
        this.listeners.forEach((l) => l.gap(r));
        happened = true;
      } else if (isHappening(r)) {
        happened = true;
      } else {
        this.plant.take(r);
        this.listeners.forEach((l) => l.sample(r));
      }
    }
    if (happened && !this.settling) {
      this.settling = window.setTimeout(() => {
        this.settling = 0;
        this.loadNow().catch(() => undefined); // check() tells when it fails for good
      }, SETTLE_MS);
    }
  }
}

export const live = new Live();
