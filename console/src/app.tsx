// SPDX-License-Identifier: Apache-2.0
// The frame: who this is, the pages, and a banner as long as the gateway is away. The page is in the address (#devices).
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { AccountsPage, mayAccounts } from './accounts';
import type { Command, Contract, Device, Feed, Island, Process } from './api';
import { AuditSearchPage } from './audit';
import { BoxesPage, boxUnwell } from './boxes';
import { CommandsPage, commandsWaiting } from './commands';
import { ContractsPage, contractUnwell } from './contracts';
import { DevicesPage, deviceUnwell } from './devices';
import { FeedsPage, feedUnwell } from './feeds';
import { plural, showClock, showTime } from './format';
import { LedgerPage } from './ledger';
import { live } from './live';
import { Mark, useObserved, usePolled, useTick } from './parts';
import { PlantPage } from './plant_page';
import { session } from './session';
import { EnrolPage, SignInPage } from './sign_in';
import { SqlPage } from './sql';
import { TrustPage } from './trust';
import { ZonesPage } from './zones';

const PAGES: Record<string, { title: string; page: () => JSX.Element }> = {
  plant: { title: 'Plant', page: PlantPage },
  devices: { title: 'Devices', page: DevicesPage },
  boxes: { title: 'Boxes', page: BoxesPage },
  feeds: { title: 'Feeds', page: FeedsPage },
  contracts: { title: 'Contracts', page: ContractsPage },
  commands: { title: 'Commands', page: CommandsPage },
  zones: { title: 'Zones', page: ZonesPage },
  trust: { title: 'Trust', page: TrustPage },
  ledger: { title: 'Ledger', page: LedgerPage },
  sql: { title: 'SQL', page: SqlPage },
  audit: { title: 'Audit', page: AuditSearchPage },
  accounts: { title: 'Accounts', page: AccountsPage },
};

const ENROL = 'enrol/';
const JOIN = 'join/'; // NAME/SECRET
const isForm = (page: string): boolean => page === 'sign-in' || page.startsWith(ENROL) || page.startsWith(JOIN);
const chosen = (): string => {
  const page = location.hash.slice(1);
  return page in PAGES || isForm(page) ? page : 'plant';
};

const LOOK_MS = 3000;

function Banner(): JSX.Element {
  useObserved(live);
  return (
    <div role="alert">
      {live.state === 'lost' && (
        <div class="banner">
          <span>
            <strong>The gateway is away since {showTime(live.lostSince)}.</strong> What is shown is from before. Trying again … <span class="detail">({live.why}.)</span>
          </span>
          <button type="button" onClick={() => live.retryNow()}>Try now</button>
        </div>
      )}
    </div>
  );
}

/** On every page, for on an island much is not as it looks from inside. */
function IslandBar(): JSX.Element | null {
  const island = usePolled<Island>('island', LOOK_MS).now;
  if (!island?.island) return null;
  return (
    <p class="island" role="status">
      <span class="status bad"><Mark state="bad" /> The gateway is an island</span>: {island.reason}; {plural(island.services_outside, 'service reaches', 'services reach')} beyond it. It ends at the gateway itself only: <code>isthmus island off</code>
    </p>
  );
}

function Clock(): JSX.Element {
  useObserved(live);
  useTick(1000);
  const words = { connecting: 'connecting …', live: 'live', lost: 'not connected', closed: 'not signed in' };
  return <p class="clock"><span class={live.state}>{words[live.state]}</span> <time>{showClock(live.now())}</time></p>;
}

/** Who is signed in, and the way out or in. */
function Who(): JSX.Element {
  useObserved(session);
  const { who } = session;
  if (!who) return <p class="who"><a href="#sign-in">Sign in</a></p>;
  const leave = (): void => { session.signOut().catch(() => undefined).then(() => live.start()); };
  return (
    <p class="who">
      <span>{who.name} <span class="quiet">{who.role}{who.zones && `, ${who.zones.join(', ')}`}</span></span>
      <button type="button" onClick={leave}>Sign out</button>
    </p>
  );
}

function PageOf({ page }: { page: string }): JSX.Element {
  if (page.startsWith(ENROL)) return <EnrolPage link={page.slice(ENROL.length)} />;
  if (page.startsWith(JOIN)) return <EnrolPage name={page.split('/')[1]} link={page.split('/')[2] ?? ''} />;
  if (page === 'sign-in' || live.state === 'closed') return <SignInPage />;
  const Page = PAGES[page]!.page;
  return <Page />;
}

/** The way to the pages, and on each how many of its things are not well. */
function Pages({ page }: { page: string }): JSX.Element {
  useObserved(session);
  const unwell: Record<string, number | undefined> = {
    devices: usePolled<{ devices: Device[] }>('devices', LOOK_MS).now?.devices.filter(deviceUnwell).length,
    boxes: usePolled<{ processes: Process[] }>('processes', LOOK_MS).now?.processes.filter(boxUnwell).length,
    contracts: usePolled<{ contracts: Contract[] }>('contracts', 3 * LOOK_MS).now?.contracts.filter(contractUnwell).length,
    commands: commandsWaiting(usePolled<{ commands: Command[] }>('commands', LOOK_MS).now?.commands ?? []),
    feeds: usePolled<{ feeds: Feed[] }>('feeds', LOOK_MS).now?.feeds.filter(feedUnwell).length,
  };
  return (
    <nav aria-label="Pages">
      {Object.entries(PAGES).filter(([key]) => key !== 'accounts' || mayAccounts()).map(([key, { title }]) => (
        <a key={key} href={`#${key}`} aria-current={key === page ? 'page' : undefined}>
          {title}{unwell[key] ? <span class="status bad"> <Mark state="bad" /> {unwell[key]}</span> : null}
        </a>
      ))}
    </nav>
  );
}

export function App(): JSX.Element {
  useObserved(live);
  const [page, setPage] = useState(chosen());
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    const moved = (): void => setPage(chosen());
    const touched = (): void => session.touch();
    addEventListener('hashchange', moved);
    addEventListener('pointerdown', touched);
    addEventListener('keydown', touched);
    return () => {
      removeEventListener('hashchange', moved);
      removeEventListener('pointerdown', touched);
      removeEventListener('keydown', touched);
    };
  }, []);
  const name = live.gateway?.name ?? 'Isthmus';
  useEffect(() => {
    document.title = `${PAGES[page]?.title ?? 'Sign in'} – ${name} – Isthmus`;
  }, [page, name]);
  const form = isForm(page) || live.state === 'closed';
  return (
    <div class={`app ${live.state}`}>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); main.current?.focus(); }}>Skip to content</a>
      <header>
        <h1>{name} <span class="quiet">{live.gateway?.description}</span></h1>
        {live.state !== 'closed' && <Pages page={page} />}
        <Clock />
        <Who />
      </header>
      <Banner />
      {live.state !== 'closed' && <IslandBar />}
      <main ref={main} tabIndex={-1} class={`page-${form ? 'form' : page}`}>
        <PageOf page={page} />
      </main>
    </div>
  );
}
