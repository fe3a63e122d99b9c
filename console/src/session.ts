// SPDX-License-Identifier: Apache-2.0
// Who is signed in. The session itself is in a cookie that no script can read; here is what the gateway says of it. A session
// that is not used ends: that the pages ask for values by themselves is no use, but a touch of the user's is.
import { Problem, type Session, get, send, setCsrf } from './api';
import { Observable } from './plant';

const TOUCH_MS = 60_000;
const PROVIDER_MS = 20_000; // a provider is asked meanwhile
const MARK = 'isthmus-signed-in'; // so that nobody is asked for a session that can't be there

class SessionOf extends Observable {
  who: Session | null = null;
  needed = false; // not even reading is allowed without one
  refused = ''; // why a sign-in by a provider came to nothing
  private touched = 0;
  private timer = 0;

  /** How things stand, after a reload or when the gateway is back. */
  async load(): Promise<void> {
    if (localStorage.getItem(MARK)) await this.ask();
    this.needed = this.who === null && await get('gateway').then(() => false, (e) => e instanceof Problem && e.status === 401);
    this.changed();
  }

  async signIn(name: string, password: string, totp: string): Promise<void> {
    this.take(await send<Session>('POST', 'session', totp ? { name, password, totp } : { name, password }));
  }

  /** Away to the provider; it sends the browser back to /oidc. */
  async begin(provider: string): Promise<void> {
    this.refuse('');
    location.assign((await send<{ url: string }>('POST', 'session/begin', { provider }, PROVIDER_MS)).url);
  }

  refuse(why: string): void {
    this.refused = why;
    this.changed();
  }

  /** Back from there. */
  async finish(state: string, code: string): Promise<void> {
    this.take(await send<Session>('POST', 'session/finish', { state, code }, PROVIDER_MS));
  }

  async enrol(link: string, name: string, password: string): Promise<void> {
    this.take(await send<Session>('POST', 'enrol', { link, name, password }));
  }

  async signOut(): Promise<void> {
    try {
      await send('DELETE', 'session');
    } finally {
      this.take(null);
    }
  }

  /** The user does something. */
  touch(): void {
    if (this.who && performance.now() - this.touched > TOUCH_MS) this.ask().catch(() => undefined);
  }

  private async ask(): Promise<void> {
    try {
      this.take(await get<Session>('session'));
    } catch (e) {
      if (!(e instanceof Problem) || e.status !== 401) throw e;
      this.take(null);
    }
  }

  private take(who: Session | null): void {
    clearTimeout(this.timer);
    this.who = who;
    setCsrf(who?.csrf ?? '');
    if (who) {
      this.refused = '';
      localStorage.setItem(MARK, who.name);
      this.needed = false;
      this.touched = performance.now();
      this.timer = window.setTimeout(() => this.take(null), Math.min(who.ends_in_s, who.idle_s || Infinity) * 1000);
    } else {
      localStorage.removeItem(MARK);
    }
    this.changed();
  }
}

export const session = new SessionOf();
