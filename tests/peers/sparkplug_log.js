// SPDX-License-Identifier: Apache-2.0
// Reads lines "TOPIC HEX" (mosquitto_sub -F '%t %x'), decodes Sparkplug B payloads with the independent codec, and writes
// one JSON line a message. Payloads of other topics are passed on as text.
'use strict';
const { get } = require('sparkplug-payload');
const codec = get('spBv1.0');

function plain(value) {
  if (value === null || value === undefined) return null;
  if (typeof value === 'object' && typeof value.toNumber === 'function') return value.toString();
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (Buffer.isBuffer(value) || value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  }
  return value;
}

require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const space = line.lastIndexOf(' ');
  const topic = line.slice(0, space);
  const bytes = Buffer.from(line.slice(space + 1), 'hex');
  const out = { topic, at: Date.now() };
  if (topic.startsWith('spBv1.0/') && !topic.startsWith('spBv1.0/STATE/')) {
    try {
      out.payload = plain(codec.decodePayload(bytes));
    } catch (e) {
      out.error = String(e);
    }
  } else {
    out.text = bytes.toString('utf8');
  }
  process.stdout.write(JSON.stringify(out) + '\n');
});
