// SPDX-License-Identifier: Apache-2.0
// A provider of OpenID Connect: oidc_provider.mjs CONFIG.json, with {issuer, port, clients, people: {name: {claim: …}}, tls: {key, cert}}.
// Its own pages ask for a name and take any password. Each start has a key of its own.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import Provider from 'oidc-provider';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const key = (kind, options, alg) => ({ ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg });

const provider = new Provider(config.issuer, {
  clients: config.clients,
  claims: { openid: ['sub', 'groups', 'email'] },
  conformIdTokenClaims: false,
  jwks: { keys: [key('rsa', { modulusLength: 2048 }, 'RS256'), key('ec', { namedCurve: 'P-256' }, 'ES256')] },
  cookies: { keys: [randomUUID()] },
  ttl: { AccessToken: 60, AuthorizationCode: 60, IdToken: 60, Grant: 600, Interaction: 600, Session: 600 },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...config.people[id] }) }),
});

const server = config.tls
  ? https.createServer({ key: readFileSync(config.tls.key), cert: readFileSync(config.tls.cert) }, provider.callback())
  : http.createServer(provider.callback());
server.listen(config.port, '127.0.0.1', () => console.log('ready'));
