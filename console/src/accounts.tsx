// SPDX-License-Identifier: Apache-2.0
// Who may sign in: accounts, who has come by a provider, machines' tokens. Only for who has the right to it. No password is ever
// typed here: whoever an account is for chooses it by a link, which is shown once.
import type { ComponentChildren, JSX } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { type AccountRow, type TokenRow, send } from './api';
import { plural, showTime } from './format';
import { type Column, Status, Table, useObserved, usePolled } from './parts';
import { session } from './session';

const LOOK_MS = 3000;
const ROLES = ['viewer', 'operator', 'engineer', 'custodian', 'security', 'administrator', 'vendor'];

const timeOf = (text: string | undefined, none: string): string => text ? showTime(Date.parse(text)) : none;
const zonesOf = (zones: string): string => zones ? zones.split(',').join(', ') : 'all';
const isOver = (expires?: string): boolean => expires !== undefined && Date.parse(expires) <= Date.now();

function AccountState({ account: a }: { account: AccountRow }): JSX.Element {
  if (a.vouched) return <>by its provider</>;
  if (a.disabled) return <Status state="gap" detail="disabled" />;
  if (!a.open) return <Status state="gap" detail={isOver(a.expires) ? 'its time is over' : 'closed'} />;
  return a.slowed_s > 0 ? <Status state="uncertain" detail={`somebody guesses: slowed for ${a.slowed_s} s`} /> : <>open</>;
}

const TOKEN_COLUMNS: Column<TokenRow>[] = [
  { head: 'Name', cell: (t) => <strong>{t.name}</strong> },
  { head: 'Role', cell: (t) => t.role },
  { head: 'Zones', cell: (t) => zonesOf(t.zones) },
  { head: 'State', cell: (t) => t.open ? 'open' : <Status state="gap" detail="its time is over" /> },
  { head: 'From', cell: (t) => t.from || 'anywhere' },
  { head: 'Sessions', cell: (t) => t.sessions, number: true },
  { head: 'Last sign-in', cell: (t) => timeOf(t.last_sign_in, '–') },
  { head: 'Until', cell: (t) => timeOf(t.expires, 'for good') },
  { head: 'Made by', cell: (t) => t.maker },
];

/** What is shown once: a link, or why there is none. */
interface Told { words: ComponentChildren; bad: boolean }

function Notice({ told }: { told: Told | null }): JSX.Element {
  return <p role="status" class="told">{told && (told.bad ? <Status state="bad" detail={String(told.words)} /> : told.words)}</p>;
}

const linkWords = (name: string, link: string): ComponentChildren => (
  <>Give this link to <strong>{name}</strong>: it is good once and for an hour, and it is shown this once. <code>{link}</code></>
);

function NewAccount({ tell }: { tell: (told: Told) => void }): JSX.Element {
  const form = useRef<HTMLFormElement>(null);
  const make = async (event: Event): Promise<void> => {
    event.preventDefault();
    const f = Object.fromEntries([...new FormData(form.current!)].map(([k, v]) => [k, String(v).trim()]));
    const more = { ...(f.zones && { zones: f.zones.replaceAll(' ', '') }), ...(f.until && { expires: new Date(f.until).toISOString() }) };
    try {
      const made = await send<{ name: string; link: string }>('POST', 'accounts', { name: f.name, role: f.role, invite: true, ...more });
      tell({ words: linkWords(made.name, made.link), bad: false });
      form.current!.reset();
    } catch (e) {
      tell({ words: (e as Error).message, bad: true });
    }
  };
  return (
    <form class="request" ref={form} onSubmit={make}>
      <p><label for="account-name">Name</label> <input id="account-name" name="name" required maxLength={63} autoCapitalize="none" autoComplete="off" spellcheck={false} /></p>
      <p><label for="account-role">Role</label> <select id="account-role" name="role">{ROLES.map((r) => <option key={r}>{r}</option>)}</select></p>
      <p><label for="account-zones">Zones</label> <input id="account-zones" name="zones" autoComplete="off" placeholder="all, or line-1,line-2" /></p>
      <p><label for="account-until">Until</label> <input id="account-until" name="until" type="datetime-local" /> <span class="quiet">a vendor needs an end, and zones</span></p>
      <p class="bar"><button type="submit">Make the account</button></p>
    </form>
  );
}

/** A button that asks once more before it does what can't be undone. */
function Sure({ label, name, act }: { label: string; name: string; act: () => void }): JSX.Element {
  const [asked, setAsked] = useState(false);
  const press = (): void => { if (asked) act(); setAsked(!asked); };
  return <button type="button" aria-label={`${asked ? 'Really: ' : ''}${label} ${name}`} onClick={press} onBlur={() => setAsked(false)}>{asked ? `Really ${label.toLowerCase()}?` : label}</button>;
}

function Acts({ account: a, tell }: { account: AccountRow; tell: (told: Told) => void }): JSX.Element {
  const path = `accounts/${a.name.split('/').map(encodeURIComponent).join('/')}`;
  const act = (method: 'POST' | 'DELETE', body: object | undefined, done: string) => (): void => {
    send<{ link?: string }>(method, path, body).then(
      (made) => tell({ words: made.link ? linkWords(a.name, made.link) : `${a.name}: ${done}.`, bad: false }),
      (e: Error) => tell({ words: e.message, bad: true }),
    );
  };
  if (a.vouched) return <Sure label="End sessions" name={a.name} act={act('DELETE', undefined, 'the sessions have ended')} />;
  return (
    <span class="bar">
      <Sure label="New link" name={a.name} act={act('POST', { invite: true }, '')} />
      {a.disabled
        ? <button type="button" aria-label={`Enable ${a.name}`} onClick={act('POST', { enable: true }, 'enabled')}>Enable</button>
        : <Sure label="Disable" name={a.name} act={act('POST', { disable: true }, 'disabled, and signed out')} />}
      <Sure label="Remove" name={a.name} act={act('DELETE', undefined, 'removed, and signed out')} />
    </span>
  );
}

export const mayAccounts = (): boolean => session.who?.rights.includes('accounts') ?? false;

function Lists(): JSX.Element {
  const [told, tell] = useState<Told | null>(null);
  const accounts = usePolled<{ accounts: AccountRow[] }>('accounts', LOOK_MS).now?.accounts;
  const tokens = usePolled<{ tokens: TokenRow[] }>('tokens', LOOK_MS).now?.tokens;
  const columns: Column<AccountRow>[] = [
    { head: 'Name', cell: (a) => <strong>{a.name}</strong> },
    { head: 'Role', cell: (a) => a.role },
    { head: 'Zones', cell: (a) => zonesOf(a.zones) },
    { head: 'State', cell: (a) => <AccountState account={a} /> },
    { head: 'Second factor', cell: (a) => a.vouched ? 'its provider’s' : a.totp ? 'yes' : 'no' },
    { head: 'Sessions', cell: (a) => a.sessions, number: true },
    { head: 'Last sign-in', cell: (a) => timeOf(a.last_sign_in, '–') },
    { head: 'Until', cell: (a) => timeOf(a.expires, 'for good') },
    { head: 'Change', cell: (a) => <Acts account={a} tell={tell} /> },
  ];
  const alive = accounts?.reduce((sum, a) => sum + a.sessions, 0) ?? 0;
  return (
    <>
      <p class="summary" role="status">{accounts && `${plural(accounts.filter((a) => !a.vouched).length, 'account')}, ${plural(alive, 'session')} alive.`}</p>
      <Notice told={told} />
      <Table label="Accounts" columns={columns} rows={accounts ?? []} keyOf={(a) => a.name} empty={accounts ? 'None.' : 'Loading …'} />
      <p class="quiet">Last sign-ins are told since the gateway started; the audit has all. A second factor: <code>isthmus user password NAME --totp</code>.</p>
      <h3>A new account</h3>
      <NewAccount tell={tell} />
      <h3>Tokens of machines</h3>
      <Table label="Tokens" columns={TOKEN_COLUMNS} rows={tokens ?? []} keyOf={(t) => t.name} empty={tokens ? 'None.' : 'Loading …'} />
      <p class="quiet">They are made and revoked on the gateway: <code>isthmus token add NAME --role ROLE --until TIME</code>, <code>isthmus token revoke NAME</code>.</p>
    </>
  );
}

export function AccountsPage(): JSX.Element {
  useObserved(session);
  return (
    <section aria-labelledby="accounts-title" class="accounts">
      <h2 id="accounts-title">Accounts</h2>
      {mayAccounts() ? <Lists /> : <p class="quiet">Only administrators see who may sign in.</p>}
    </section>
  );
}
