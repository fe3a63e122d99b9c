// SPDX-License-Identifier: Apache-2.0
// A user of the console in a real browser: console_user.js URL PICTURES. Reads steps from stdin, one JSON array a line
// (["search", "pump1 flow"]), and answers each with one line: {"value": …} or {"error": …}. Each step waits until what it
// is about can be seen. Whatever the browser complains about is kept for the step `complaints`.
'use strict';
const { chromium } = require('playwright-core');
const readline = require('node:readline');

const [url, pictures] = process.argv.slice(2);
const WAIT_MS = 20_000;
const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const complaints = [];
let browser;
let page;

/** Waits until `what`, evaluated in the page with `argument`, is true, and returns it. */
async function until(what, argument) {
  const handle = await page.waitForFunction(what, argument, { timeout: WAIT_MS });
  return handle.jsonValue();
}

const row = (path) => `.row[data-path="${path}"]`;

const steps = {
  async open(width, height, scheme, hash = 'plant') {
    if (page) await page.context().close();
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
    await context.route((to) => !['127.0.0.1', 'localhost', '[::1]'].includes(to.hostname), (request) => request.abort()); // a provider's pages ask for fonts
    page = await context.newPage();
    page.on('pageerror', (e) => complaints.push(e.message));
    page.on('console', (m) => m.type() === 'error' && complaints.push(m.text()));
    page.on('dialog', (d) => { complaints.push(`dialog: ${d.message()}`); d.dismiss(); });
    await page.goto(`${url}/#${hash}`);
    await until(() => document.querySelector('.app.live, .app.closed'));
  },

  /** Fills in a form and sends it; what is wrong then, or who is signed in. */
  async form(fields) {
    for (const [name, text] of Object.entries(fields)) await page.fill(`.sheet input[name=${name}]`, text);
    await page.click('.sheet button[type=submit]');
    return until(() => document.querySelector('.sheet [role=alert]')?.textContent.trim() || document.querySelector('.who span')?.textContent);
  },

  /** Signs in by a provider, whose own pages ask for a name and then for consent; what is wrong then, or who is signed in. */
  async provider(button, name) {
    await page.click(`.sheet button:text-is("${button}")`);
    await page.fill('input[name=login]', name, { timeout: WAIT_MS });
    await page.fill('input[name=password]', 'any');
    await page.click('button[type=submit]');
    await page.waitForSelector('input[name=prompt][value=consent]', { state: 'attached', timeout: WAIT_MS });
    await page.click('button[type=submit]');
    return until(() => document.querySelector('.sheet [role=alert] .status')?.textContent.trim() || document.querySelector('.who span')?.textContent);
  },

  /** Who is signed in, once there is somebody (or nobody). */
  who: (somebody) => until((wanted) => {
    const who = document.querySelector('.who');
    return who && Boolean(who.querySelector('button')) === wanted && who.textContent;
  }, somebody),
  reload: () => page.reload().then(() => until(() => document.querySelector('.app.live, .app.closed'))).then(() => undefined),
  cookies: () => page.context().cookies(),
  location: () => page.url(),

  async page(name) {
    await page.click(`nav a[href="#${name}"]`);
    await page.waitForSelector(`main.page-${name}`);
  },

  /** The tags that the tree shows for these words. */
  async search(words) {
    await page.fill('input[type=search]', words);
    return page.$$eval('.row.leaf', (rows) => rows.map((r) => r.dataset.path));
  },

  /** What the tree says of a tag, once its cells contain these texts. */
  async row(path, cells = {}) {
    await page.fill('input[type=search]', path);
    return until(([selector, wanted]) => {
      const found = document.querySelector(selector);
      if (!found) return null;
      const text = (name) => found.querySelector(`.${name}`)?.textContent.trim();
      const all = Object.fromEntries(['name', 'value', 'unit', 'state', 'age'].map((n) => [n, text(n)]));
      all.mark = found.querySelector('.mark')?.getAttribute('aria-label') ?? '';
      return Object.entries(wanted).every(([n, part]) => all[n].includes(part)) && all;
    }, [row(path), cells]);
  },

  /** So many values of a tag, each different from the one before, and the seconds they took. */
  async values(path, count) {
    await steps.row(path);
    const seen = [];
    const start = performance.now();
    while (seen.length < count) {
      seen.push(await until(([selector, last]) => {
        const text = document.querySelector(selector)?.textContent;
        return text && text !== last && text;
      }, [`${row(path)} .value`, seen.at(-1) ?? '–']));
    }
    return { seen, seconds: (performance.now() - start) / 1000 };
  },

  async choose(...paths) {
    for (const path of paths) {
      await page.fill('input[type=search]', path);
      await page.click(row(path));
      await page.waitForSelector(`.legend li[data-path="${path}"]`);
    }
    await page.fill('input[type=search]', '');
  },

  /** Runs a statement on the SQL page; its rows as texts, or what is wrong. */
  async sql(text) {
    await page.fill('#statement', text);
    await page.press('#statement', 'Control+Enter');
    return until(() => {
      const wrong = document.querySelector('.sql [role=alert]')?.textContent.trim();
      if (wrong) return { wrong };
      if (!/rows?.* ms\./.test(document.querySelector('.sql .summary').textContent)) return null;
      return { rows: [...document.querySelectorAll('.sql tbody tr')].map((r) => [...r.cells].map((c) => c.textContent)) };
    });
  },

  /** What the file that a button gives begins with. */
  async download(name) {
    const [download] = await Promise.all([page.waitForEvent('download'), page.click(`button:text-is("${name}")`)]);
    return require('node:fs').readFileSync(await download.path(), 'utf8').slice(0, 1000);
  },

  /** Clicks a tag, or a button of the time range; the ms until its samples are there and drawn. */
  async loading(path, button) {
    if (!button) {
      await page.fill('input[type=search]', path);
      await page.waitForSelector(row(path));
    }
    return page.evaluate(([tag, text, legend, most]) => new Promise((done, fail) => {
      const target = text ? [...document.querySelectorAll('button')].find((b) => b.textContent === text) : document.querySelector(tag);
      const start = performance.now();
      let began = false; // a button's click makes what is there busy again, perhaps for less than a frame: then the answer tells
      performance.clearResourceTimings();
      const answered = () => performance.getEntriesByType('resource').some((e) => e.name.includes('/history') && e.responseEnd > 0);
      target.click();
      const look = () => {
        const busy = document.querySelector(legend)?.getAttribute('aria-busy');
        began ||= busy === 'true' || (!text && busy === 'false') || answered();
        if (performance.now() - start > most) fail(new Error('it was not loaded in time'));
        if (began && busy === 'false') requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
        else requestAnimationFrame(look);
      };
      look();
    }), [row(path), button, `.legend li[data-path="${path}"]`, WAIT_MS]);
  },

  /** Takes a tag out of the trend. */
  async remove(path) {
    await page.click(`.legend li[data-path="${path}"] button`);
  },

  /** Waits until the lanes hold this many pixels of the colour with this name (a property of the style sheet). */
  drawn: (colour, pixels) => until(([name, least]) => {
    const probe = document.createElement('canvas').getContext('2d');
    probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
    let found = 0;
    for (const canvas of document.querySelectorAll('.lanes canvas')) {
      if (canvas.width === 0 || canvas.height === 0) continue;
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      for (let i = 0; i < data.length; i += 4) {
        found += data[i + 3] > 200 && Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 12;
      }
    }
    return found >= least && found;
  }, [colour, pixels]),

  /** Clicks a button, and waits until it is (or is not) pressed. */
  async button(name, pressed) {
    await page.click(`button:is([aria-label="${name}"], :text-is("${name}"))`);
    if (pressed) await page.waitForSelector(`button[aria-pressed=${pressed}]:text-is("${name}")`);
  },

  /** Drags over the last third of the first lane; the end of the range that is then shown. */
  async drag() {
    const { x, y, width, height } = await page.locator('.u-over').first().boundingBox();
    await page.mouse.move(x + width * 0.6, y + height / 2);
    await page.mouse.down();
    await page.mouse.move(x + width * 0.9, y + height / 2, { steps: 5 });
    await page.mouse.up();
    return steps.until_is_not('');
  },

  /** The end of the range, once it is another; null: it is live. */
  until_is_not: (before) => until((old) => {
    const { value } = document.querySelector('.until input');
    return value !== old && { value };
  }, before).then(({ value }) => value || null),

  /** Waits until the legend's row of a tag contains the text. */
  legend: (path, text) => until(([selector, part]) => document.querySelector(selector)?.textContent.includes(part),
    [`.legend li[data-path="${path}"]`, text]),

  /** Gives the window another size, and waits until each lane is as wide as its place. */
  async resize(width, height) {
    await page.setViewportSize({ width, height });
    return until((wide) => {
      const lanes = [...document.querySelectorAll('.plot')];
      const fits = lanes.every((l) => l.clientWidth < wide && Math.abs(l.querySelector('.uplot').clientWidth - l.clientWidth) < 2);
      return fits && lanes.map((l) => l.clientWidth);
    }, width);
  },

  /** The rows of a page's table as {head: text}, once there are some. */
  table: (label) => until((name) => {
    const rows = [...document.querySelectorAll(`table[aria-label="${name}"] tbody tr`)];
    return rows.length > 0 && rows.map((r) => Object.fromEntries([...r.cells].map((c) => [c.dataset.head, c.textContent.trim()])));
  }, label),

  /** The bars of a part of the ledger, as {whose: what is told beside it}, once there are some. */
  shares: (title) => until((id) => {
    const rows = [...document.querySelectorAll(`section[aria-labelledby="${id}"] .shares li`)];
    return rows.length > 0 && Object.fromEntries(rows.map((r) => [r.firstChild.textContent.trim(), r.querySelector('.told').textContent]));
  }, title),

  /** The ledger's sentence, once it contains this. */
  sentence: (part) => until((t) => {
    const text = document.querySelector('.sentence')?.textContent ?? '';
    return text.includes(t) && text;
  }, part),

  /** The text of the first such element, once it is there. */
  read: (selector) => page.locator(selector).first().innerText({ timeout: WAIT_MS }),

  /** Waits until a row of the table holds all these words. */
  table_has: (label, words) => until(([name, parts]) => [...document.querySelectorAll(`table[aria-label="${name}"] tbody tr`)]
    .some((row) => parts.every((part) => row.innerText.includes(part))), [label, words]),

  /** Waits until the page's text contains this. */
  text: (part) => until((t) => document.body.innerText.includes(t), part),

  banner: (shown) => until((wanted) => Boolean(document.querySelector('[role=alert] .banner')) === wanted, shown),

  /** By how much the page is wider than the window, the ground's brightness, and how many elements there are. */
  measure: () => page.evaluate(() => ({
    overflow: document.documentElement.scrollWidth - innerWidth,
    brightness: getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 3,
    elements: document.querySelectorAll('*').length,
    images: document.querySelectorAll('img').length,
  })),

  /** Presses keys, then waits until what has the focus is as wanted. */
  async press(keys, wanted = {}) {
    for (const key of keys) await page.keyboard.press(key);
    return until((all) => {
      const a = document.activeElement;
      const active = document.getElementById(a.getAttribute('aria-activedescendant'));
      const style = getComputedStyle(active ?? a);
      const focus = {
        what: a.getAttribute('aria-label') ?? a.textContent, row: active?.dataset.path ?? '',
        open: active?.getAttribute('aria-expanded') ?? '', pressed: a.getAttribute('aria-pressed') ?? '',
        visible: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
      };
      return Object.entries(all).every(([k, v]) => focus[k] === v) && focus;
    }, wanted);
  },

  /** Fills in a field, or chooses of a list, by its label. */
  async fill(label, text) {
    const field = page.getByLabel(label, { exact: true });
    await ((await field.evaluate((e) => e.tagName)) === 'SELECT' ? field.selectOption(text) : field.fill(text));
  },

  type: (text) => page.keyboard.type(text),
  picture: (name) => page.screenshot({ path: `${pictures}/${name}.png` }).then(() => undefined),
  complaints: () => complaints.splice(0),
};

async function main() {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGUMENTS });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [name, ...more] = JSON.parse(line);
    let answer;
    try {
      answer = { value: await steps[name](...more) ?? null };
    } catch (e) {
      answer = { error: `${line}: ${e.message}\n${page ? await page.evaluate(() => document.body.innerText).catch(() => '') : ''}` };
      if (page) await steps.picture(`failed-${name}`).catch(() => undefined);
    }
    console.log(JSON.stringify(answer));
  }
  await browser.close();
}

main();
