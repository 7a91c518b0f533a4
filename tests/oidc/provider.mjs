// A real provider for the tests of sign-in: node provider.mjs <oidc-provider's index.js> < settings
// Settings are one JSON object: jwks (private keys), clients, users, resources, scheme. It listens
// on a free port of loopback, and its first line says where: {"issuer": ...}.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';

const { Provider, errors } = await import(pathToFileURL(process.argv[2]).href);
const settings = JSON.parse(await text(process.stdin));
const { users, resources } = settings;

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: settings.clients,
  jwks: settings.jwks,
  cookies: { keys: ['of the tests alone'] },
  claims: { openid: ['sub'], profile: ['name', 'department'], email: ['email', 'email_verified'] },
  conformIdTokenClaims: settings.shortIdTokens ?? true,
  findAccount: (context, id) =>
    users[id] && { accountId: id, claims: () => ({ sub: id, ...users[id] }) },
  // What a city's provider is told to put into access tokens too.
  extraTokenClaims: (context, token) => ({ department: users[token.accountId]?.department }),
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo(context, resource) {
        if (!resources.includes(resource)) throw new errors.InvalidTarget();
        return {
          scope: 'read',
          audience: resource,
          accessTokenTTL: 600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: settings.algorithm ?? 'RS256' } },
        };
      },
    },
  },
});
server.on('request', provider.callback());
console.log(JSON.stringify({ issuer }));
