// HTTP/2 frames written by hand, for what no well-behaved client sends.
import { connect } from 'node:net';
import { patience } from './gateway.mjs';

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const type = { DATA: 0, HEADERS: 1, PRIORITY: 2, RST_STREAM: 3, SETTINGS: 4, PUSH_PROMISE: 5, PING: 6, GOAWAY: 7, WINDOW_UPDATE: 8, CONTINUATION: 9 };
export const flag = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 };
export const error = { NO_ERROR: 0, PROTOCOL_ERROR: 1, INTERNAL_ERROR: 2, FLOW_CONTROL_ERROR: 3, STREAM_CLOSED: 5, FRAME_SIZE_ERROR: 6, REFUSED_STREAM: 7, CANCEL: 8, COMPRESSION_ERROR: 9, ENHANCE_YOUR_CALM: 11 };

export function frame(kind, flags, stream, payload = Buffer.alloc(0)) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = kind;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export function u32(n) {
  const b = Buffer.alloc(4);
  b.writeUInt32BE(n >>> 0);
  return b;
}

/** HPACK without compression: a literal for each. */
export function block(headers) {
  const parts = [];
  const string = (text) => {
    const bytes = Buffer.from(text);
    if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
    let rest = bytes.length - 127;
    const length = [127];
    for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
    return Buffer.concat([Buffer.from([...length, rest]), bytes]);
  };
  for (const [name, value] of headers) parts.push(Buffer.from([0]), string(name), string(value));
  return Buffer.concat(parts);
}

export const publishPath = '/cache_client.pubsub.Pubsub/Publish';
export const subscribePath = '/cache_client.pubsub.Pubsub/Subscribe';
export const grpcHeaders = (path, more = []) => [
  [':method', 'POST'], [':scheme', 'http'], [':path', path], [':authority', 'x'],
  ['content-type', 'application/grpc'], ['te', 'trailers'], ...more];
export const prefixed = (message) => Buffer.concat([Buffer.from([0]), u32(message.length), message]);
const field = (number, bytes) => Buffer.concat([Buffer.from([number << 3 | 2, bytes.length]), bytes]);
export const subscription = (topic) => Buffer.concat([field(1, Buffer.from('chat')), field(2, Buffer.from(topic))]);
export const publication = (topic, text) => Buffer.concat([subscription(topic), field(3, field(1, Buffer.from(text)))]);

/** A connection, and what came over it. */
export class Raw {
  frames = [];
  closed = false;

  constructor(g) {
    this.socket = connect(new URL(g.url).port, '127.0.0.1');
    let rest = Buffer.alloc(0);
    this.socket.on('data', (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
        const length = rest.readUIntBE(0, 3);
        this.frames.push({ type: rest[3], flags: rest[4], stream: rest.readUInt32BE(5), payload: rest.subarray(9, 9 + length) });
        rest = rest.subarray(9 + length);
        this.wake?.();
      }
    });
    this.socket.on('error', () => {}).on('close', () => { this.closed = true; this.wake?.(); });
  }

  /** A connection whose SETTINGS are exchanged. */
  static async open(t, g, settings = Buffer.alloc(0)) {
    const raw = new Raw(g);
    t.after(() => raw.socket.destroy());
    raw.send(preface, frame(type.SETTINGS, 0, 0, settings));
    await raw.until((f) => f.type === type.SETTINGS && f.flags === 0);
    raw.send(frame(type.SETTINGS, flag.ACK, 0));
    return raw;
  }

  send(...parts) {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(parts));
  }

  call(stream, path, message, more) {
    this.send(frame(type.HEADERS, flag.END_HEADERS, stream, block(grpcHeaders(path, more))),
      frame(type.DATA, flag.END_STREAM, stream, prefixed(message)));
  }

  /** Waits for a frame; undefined when the connection was closed without it. */
  async until(wanted) {
    const end = Date.now() + patience;
    for (;;) {
      const found = this.frames.find(wanted);
      if (found || this.closed) return found;
      if (Date.now() > end) throw new Error(`waited in vain for a frame; got ${JSON.stringify(this.frames.map((f) => [f.type, f.flags, f.stream]))}`);
      await new Promise((done) => { this.wake = done; setTimeout(done, 100); });
    }
  }

  /** The code of the GOAWAY or of the stream's RST_STREAM that came. */
  async refusal(stream) {
    const f = await this.until((x) => x.type === type.GOAWAY || (x.type === type.RST_STREAM && x.stream === stream));
    return f === undefined ? 'closed' : f.payload.readUInt32BE(f.type === type.GOAWAY ? 4 : 0);
  }
}
