// SPDX-License-Identifier: Apache-2.0
// Signing in, and the first administrator's enrolment by the link that the gateway has printed.
import type { ComponentChildren, InputHTMLAttributes, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { type Provider, get } from './api';
import { live } from './live';
import { Mark, useObserved } from './parts';
import { session } from './session';

function Field({ label, hint, ...more }: { label: string; hint?: string } & InputHTMLAttributes<HTMLInputElement>): JSX.Element {
  const id = `field-${more.name as string}`;
  return (
    <p>
      <label for={id}>{label}</label>
      <input id={id} aria-describedby={hint ? `${id}-hint` : undefined} autoCapitalize="none" spellcheck={false} {...more} />
      {hint && <small id={`${id}-hint`} class="quiet">{hint}</small>}
    </p>
  );
}

/** A form whose button waits for the answer, and which says what is wrong. */
function Sheet({ title, button, done, children }: {
  title: string; button: string; done: (fields: Record<string, string>) => Promise<void>; children: ComponentChildren;
}): JSX.Element {
  const form = useRef<HTMLFormElement>(null);
  const [wrong, setWrong] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setWrong('');
    try {
      await done(Object.fromEntries([...new FormData(form.current!)].map(([k, v]) => [k, String(v)])));
    } catch (e) {
      setWrong((e as Error).message);
    }
    setBusy(false);
  };
  return (
    <section class="sheet" aria-labelledby="sheet-title">
      <h2 id="sheet-title">{title}</h2>
      <form ref={form} onSubmit={submit}>
        {children}
        <p role="alert">{wrong && <span class="status bad"><Mark state="bad" /> {wrong}</span>}</p>
        <button type="submit" disabled={busy}>{busy ? 'One moment …' : button}</button>
      </form>
    </section>
  );
}

/** Somebody has signed in: on to what was asked for. */
function goOn(): void {
  if (/^#(sign-in$|enrol\/|join\/)/.test(location.hash)) location.replace('#plant');
  live.retryNow();
}

// What a provider has sent the browser back with. The address is cleaned at once, lest it stays in the browser's history.
const back = location.pathname === '/oidc' ? new URLSearchParams(location.search) : null;
if (back) history.replaceState(null, '', '/#sign-in');

/** Finishes the sign-in that the browser comes back from, if it does. */
export async function comeBack(): Promise<void> {
  const [state, code] = [back?.get('state'), back?.get('code')];
  if (!back) return;
  try {
    if (!state || !code) throw new Error(`The provider has signed nobody in: ${back.get('error_description') ?? back.get('error') ?? 'it does not say why'}.`);
    await session.finish(state, code);
    goOn();
  } catch (e) {
    session.refuse((e as Error).message);
  }
}

/** A button for each who can vouch for people. */
function Providers(): JSX.Element | null {
  useObserved(session);
  const [list, setList] = useState<Provider[]>([]);
  const [busy, setBusy] = useState(false);
  useEffect(() => { get<{ providers: Provider[] }>('providers').then(({ providers }) => setList(providers), () => undefined); }, []);
  const begin = (name: string): void => {
    setBusy(true);
    session.begin(name).catch((e: Error) => { session.refuse(e.message); setBusy(false); });
  };
  const { refused } = session;
  if (!list.length && !refused) return null;
  return (
    <section class="sheet" aria-label="By a provider">
      <p role="alert">{refused && <span class="status bad"><Mark state="bad" /> {refused}</span>}</p>
      {list.map(({ name, label }) => <p key={name}><button type="button" disabled={busy} onClick={() => begin(name)}>Sign in with {label}</button></p>)}
    </section>
  );
}

export function SignInPage(): JSX.Element {
  useObserved(session);
  const done = async (f: Record<string, string>): Promise<void> => {
    await session.signIn(f.name!.trim(), f.password!, f.totp!.replaceAll(' ', ''));
    goOn();
  };
  return (
    <>
      <Sheet title="Sign in" button="Sign in" done={done}>
      {session.needed && <p class="quiet">This gateway shows its values only to who has signed in.</p>}
      <Field label="Name" name="name" autoComplete="username" required maxLength={63} />
      <Field label="Password" name="password" type="password" autoComplete="current-password" required />
      <Field label="Code" name="totp" autoComplete="one-time-code" inputMode="numeric" pattern="[0-9 ]*" maxLength={7} hint="Six digits of your app, if your account has one." />
    </Sheet>
    <Providers />
    </>
  );
}

/** The first administrator makes an account by a link; whoever `name` is chooses the password of one that is there. */
export function EnrolPage({ link, name }: { link: string; name?: string }): JSX.Element {
  const done = async (f: Record<string, string>): Promise<void> => {
    if (f.password !== f.again) throw new Error('The two passwords differ.');
    await session.enrol(link, name ?? f.name!.trim(), f.password!);
    goOn();
  };
  return (
    <Sheet title={name ? `A password for ${name}` : 'The first administrator'} button={name ? 'Choose it' : 'Make the account'} done={done}>
      <p class="quiet">{name ? 'Nobody else knows it. The link is good once.' : 'This link makes one account, which may do everything and makes the others. It is good once.'}</p>
      {name
        ? <input type="hidden" name="username" autoComplete="username" value={name} />
        : <Field label="Name" name="name" autoComplete="username" required maxLength={63} hint="Letters, digits, and - _ . @" />}
      <Field label="Password" name="password" type="password" autoComplete="new-password" required minLength={12} hint="12 characters at least; a sentence is easier to remember." />
      <Field label="Password once more" name="again" type="password" autoComplete="new-password" required />
    </Sheet>
  );
}
