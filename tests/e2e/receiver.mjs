// Destinations of webhooks, and gateways that come back on the same data.
import { createServer } from 'node:http';

import { secret, start } from './gateway.mjs';

/** Kills it and starts it anew on the same data and port. */
export async function crash(t, g, options = {}) {
  g.expect = 'SIGKILL';
  await g.stop('SIGKILL');
  return again(t, g, options);
}

export const again = (t, g, { config = '', ...options } = {}) =>
  start(t, { ...options, listen: new URL(g.url).host, config: `${config} data = "${g.path}/data"` });

/**
 * A receiver that answers with what `answer` says: a status, or headers as well, maybe later. It
 * notes what came, and how many requests were `most` under way at once.
 */
export async function receiver(t, answer) {
  const got = [];
  const r = { got, most: 0 };
  let busy = 0;
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (d) => { body += d; }).on('end', async () => {
      const e = JSON.parse(body);
      got.push({ text: e.text, number: e.topic_sequence_number, id: request.headers['webhook-id'], at: Date.now() });
      r.most = Math.max(r.most, ++busy);
      const [status, headers] = [await answer(e, got)].flat();
      busy--;
      response.writeHead(status, headers).end();
    });
  }).listen(0, '127.0.0.1');
  await new Promise((done) => server.on('listening', done));
  t.after(() => { server.closeAllConnections?.(); server.close(); });
  r.url = `http://127.0.0.1:${server.address().port}/`;
  return r;
}

/** A webhook of topic t to `url`, for the configuration; `more` are further fields. */
export const webhook = (url, more = '') =>
  `webhooks = { { cache = "chat", name = "w", topic = "t", url = "${url}", secret = "${secret}", retry = { first = "50ms", max = "200ms" }, ${more} } }`;
