// Where the webhooks go: takes down all that arrives, and answers as badly as it is told.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { sign } from '../e2e/gateway.mjs';
import { unpack } from './payload.mjs';

export class Receiver {
  /** webhook's name -> (arrival) => "ok", a status, "hang", "half", "drop", or [status, headers] */
  behaviour = new Map();
  #webhooks = new Map();
  #sockets = new Set();

  static async start() {
    const receiver = new Receiver();
    receiver.server = createServer((request, response) => receiver.#take(request, response));
    receiver.server.keepAliveTimeout = 1000;
    receiver.server.on('connection', (socket) => {
      receiver.#sockets.add(socket);
      socket.on('close', () => receiver.#sockets.delete(socket));
    });
    receiver.server.listen(0, '127.0.0.1');
    await once(receiver.server, 'listening');
    receiver.url = `http://127.0.0.1:${receiver.server.address().port}`;
    return receiver;
  }

  /** A webhook's record, as the checker takes it. */
  add({ name, topic, order = 'none', delivery = 'at_least_once', secret }) {
    const record = { name, topic, order, delivery, secret, arrivals: [] };
    this.#webhooks.set(name, record);
    return record;
  }

  #take(request, response) {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    // A sender that was killed meanwhile has not sent it.
    request.on('error', () => {});
    request.on('end', () => {
      const webhook = this.#webhooks.get(request.url.slice(1));
      const arrival = read(webhook, request.headers, Buffer.concat(parts));
      webhook.arrivals.push(arrival);
      const answer = this.behaviour.get(webhook.name)?.(arrival) ?? 'ok';
      arrival.answer = answer;
      this.#answer(arrival, answer, response);
    });
  }

  #answer(arrival, answer, response) {
    if (answer === 'hang') return;
    if (answer === 'drop') {
      response.socket.destroy();
    } else if (answer === 'half') {
      response.writeHead(200, { 'content-length': 100 });
      response.write('the first half, and then');
    } else if (answer === 'ok') {
      arrival.good = true;
      response.writeHead(204).end();
    } else {
      const [status, headers] = Array.isArray(answer) ? answer : [answer, {}];
      response.writeHead(status, headers).end();
    }
  }

  close() {
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

function read(webhook, headers, bytes) {
  const arrival = { id: headers['webhook-id'], at: Date.now(), good: false, number: 0, key: 'no event' };
  arrival.signed = headers['momento-signature'] === sign(bytes, webhook.secret);
  try {
    const event = JSON.parse(bytes);
    arrival.number = event.topic_sequence_number;
    arrival.key = unpack(event.text);
  } catch {
    arrival.key = `no event: ${bytes.subarray(0, 60)}`;
  }
  return arrival;
}
