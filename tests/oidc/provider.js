// A real OpenID Connect provider (panva's oidc-provider) on loopback, with its own pages for logging in
// and consenting. Everybody may log in as anybody. What tests need beside that is behind /control/:
// rotate the keys, hide them, name the client's address, make a client that acts for itself.
//
//   node provider.js FOLDER     FOLDER holds node_modules; prints {"port":N} once it listens

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

// One line goes to the one who started it; what the library says, elsewhere.
console.log = console.error;
console.info = console.error;
console.warn = console.error;

const library = resolve(process.argv[2], 'node_modules/oidc-provider/lib/index.js');
const { default: Provider } = await import(pathToFileURL(library));

let generation = 0;
let redirect = 'http://127.0.0.1:9/';
let hidden = false;
let provider = null;
let asked = 0;
const robots = new Set();

function keys() {
  generation += 1;
  const kinds = { RS256: ['rsa', { modulusLength: 2048 }], ES256: ['ec', { namedCurve: 'P-256' }] };
  return Object.entries(kinds).map(([alg, [kind, options]]) => {
    const jwk = generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' });
    return { ...jwk, alg, use: 'sig', kid: `${alg}-${generation}` };
  });
}

function renew(port, { rotate }) {
  const jwks = rotate || !provider ? { keys: keys() } : provider.jwks;
  const fresh = new Provider(`http://127.0.0.1:${port}`, {
    clients: [...robots].map((name) => ({
      client_id: name,
      client_secret: 'the secret of a client in a test',
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
    })).concat(['RS256', 'ES256'].map((alg) => ({
      client_id: `goldenpath-${alg}`,
      client_secret: 'the secret of a client in a test',
      redirect_uris: [redirect],
      response_types: ['code'],
      grant_types: ['authorization_code'],
      id_token_signed_response_alg: alg,
    }))),
    jwks,
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource, client) => ({
          scope: '',
          audience: resource,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: client.clientId.startsWith('ES256') ? 'ES256' : 'RS256' } },
        }),
      },
    },
    cookies: { keys: ['cookies of a provider in a test'] },
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
    // The claims of the scopes are in the ID token, as most providers have them.
    conformIdTokenClaims: false,
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256'] },
    pkce: { required: () => true },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        name: `${id} of the provider`,
        email: id.startsWith('thief-of-') ? `${id.slice(9)}@example.org` : `${id}@example.org`,
        email_verified: !id.startsWith('unverified'),
      }),
    }),
  });
  fresh.jwks = jwks;
  provider = fresh;
}

const server = createServer(async (request, response) => {
  const answer = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  const { port } = server.address();
  switch (pathname) {
    case '/control/redirect':
      redirect = searchParams.get('to');
      renew(port, { rotate: false });
      return answer(200, { redirect });
    case '/control/rotate':
      renew(port, { rotate: true });
      return answer(200, { generation });
    case '/control/client':
      robots.add(searchParams.get('name'));
      renew(port, { rotate: false });
      return answer(200, { clients: robots.size });
    case '/control/hide':
      hidden = searchParams.get('keys') === 'yes';
      return answer(200, { hidden });
    case '/control/asked':
      return answer(200, { asked });
    case '/jwks':
      asked += 1;
      if (hidden) return answer(503, { error: 'hidden' });
      return provider.callback()(request, response);
    default:
      return provider.callback()(request, response);
  }
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  renew(port, { rotate: true });
  process.stdout.write(`${JSON.stringify({ port })}\n`);
});
