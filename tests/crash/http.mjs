// Requests that say exactly what happened: an answer, or that none came. fetch() would hide whether
// the request was sent at all.
import { Agent, request as open } from 'node:http';

export const newAgent = () => new Agent({ keepAlive: true, maxSockets: 64 });

/** The answer, { status, headers, text }; throws when none came within `timeout` ms. */
export function request(base, path, { agent, method = 'GET', headers = {}, body, timeout = 15_000, signal } = {}) {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const sent = open(base + path, { agent, method, signal, headers: { ...headers, ...length } });
    const timer = setTimeout(() => sent.destroy(new Error(`no answer within ${timeout} ms`)), timeout);
    const end = (settle, value) => { clearTimeout(timer); settle(value); };
    sent.on('error', (e) => end(reject, e));
    sent.on('response', (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('error', (e) => end(reject, e));
      response.on('close', () => {
        if (!response.complete) end(reject, new Error('the connection died within the answer'));
        else end(resolve, { status: response.statusCode, headers: response.headers, text: Buffer.concat(parts).toString() });
      });
    });
    sent.end(body);
  });
}

export const pathOf = (cache, topic) => `/topics/${encodeURIComponent(cache)}/${encodeURIComponent(topic)}`;
