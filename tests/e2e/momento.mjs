// The official SDKs, pointed at a gateway of a test and closed with it.
import * as sdk from '@gomomento/sdk';
import types from '@gomomento/generated-types/dist/cachepubsub.js';
import grpc from '@grpc/grpc-js';

// The SDK logs what it heals.
const quiet = new sdk.NoopMomentoLoggerFactory();

/** The v1 form of a key, as consoles hand it out. */
export const wrap = (key) => Buffer.from(JSON.stringify({ endpoint: 'x', api_key: key })).toString('base64');

/** Without a key as momento-local is used; with one, with all endpoints overridden. */
export function credentials(g, key, { CredentialProvider } = sdk) {
  const { hostname, port, host } = new URL(g.url);
  if (key === undefined) return CredentialProvider.forMomentoLocal({ hostname, port: Number(port) });
  return CredentialProvider.fromString({ apiKey: wrap(key), endpointOverrides: {
    cacheEndpoint: host, controlEndpoint: host, tokenEndpoint: host, secureConnection: false } });
}

// `from` is another version of the SDK.
export async function cacheClient(t, g, key, from = sdk) {
  const client = await from.CacheClient.create({
    configuration: from.Configurations.Laptop.v1(quiet), credentialProvider: credentials(g, key, from), defaultTtlSeconds: 60 });
  t.after(() => client.close());
  return client;
}

// These cannot be closed; the process of a test file ends with its last test.
export const topicClient = (g, key, from = sdk) => new from.TopicClient({
  configuration: from.TopicConfigurations.Default.latest(quiet), credentialProvider: credentials(g, key, from) });

export const authClient = (g, key) => new sdk.AuthClient({
  configuration: sdk.AuthClientConfigurations.Default.latest(quiet), credentialProvider: credentials(g, key) });

/** Subscribes, and collects what comes. */
export async function subscribe(t, client, cache, topic, options = {}) {
  const got = { items: [], values: [], numbers: [], ids: [], errors: [], gaps: [], heartbeats: 0, lost: 0 };
  got.response = await client.subscribe(cache, topic, {
    onItem: (i) => { got.items.push(i); got.values.push(i.value()); got.numbers.push(i.sequenceNumber()); got.ids.push(i.tokenId()); },
    onError: (e) => got.errors.push(e),
    onDiscontinuity: (d) => got.gaps.push(d),
    onHeartbeat: () => { got.heartbeats++; },
    onConnectionLost: () => { got.lost++; },
    ...options,
  });
  got.unsubscribe = () => got.response.unsubscribe?.();
  t.after(got.unsubscribe);
  return got;
}

/** "Success", or an error's code. */
export const outcome = (response) => response.errorCode?.() ?? response.toString().replace(/:.*/s, '');

/**
 * A call with nothing but grpc-js, which shows what SDKs hide: {code, details, metadata} of its status
 * and its messages. `enough(messages)` ends a stream.
 */
export function rawCall(g, path, message, { metadata = {}, deadline, enough = () => false } = {}) {
  const client = new grpc.Client(new URL(g.url).host, grpc.credentials.createInsecure());
  const meta = new grpc.Metadata();
  for (const [k, v] of Object.entries(metadata)) meta.set(k, v);
  return new Promise((done) => {
    const messages = [];
    const call = client.makeServerStreamRequest(
      path, (m) => (Buffer.isBuffer(m) ? m : Buffer.from(m.serializeBinary())), (b) => b, message, meta, deadline ? { deadline } : {});
    call.on('data', (m) => { messages.push(m); if (enough(messages)) call.cancel(); });
    call.on('error', () => {}).on('status', (status) => { client.close(); done({ ...status, messages }); });
  });
}

const { _SubscriptionRequest, _SubscriptionItem, _PublishRequest, _TopicValue } = types.cache_client.pubsub;

export const publishRequest = (cache_name, topic, value) => new _PublishRequest({
  cache_name, topic, value: value === undefined ? undefined : new _TopicValue(typeof value === 'string' ? { text: value } : { binary: value }) });

function describe(message) {
  const item = _SubscriptionItem.deserializeBinary(message);
  if (item.heartbeat) return 'heartbeat';
  if (item.discontinuity) return `gap ${item.discontinuity.last_topic_sequence} ${item.discontinuity.new_topic_sequence}`;
  return item.item.value.text;
}

/** Subscribes from a place, which the SDKs do only by themselves, until `last` came; as 'heartbeat',
 * 'gap LAST NEW' and the items' texts. Heartbeats behind the first are left out. */
export async function resumed(g, cache_name, topic, number, page, last) {
  const request = new _SubscriptionRequest({ cache_name, topic, resume_at_topic_sequence_number: number, sequence_page: page });
  const { messages } = await rawCall(g, '/cache_client.pubsub.Pubsub/Subscribe', request, { enough: (m) => describe(m.at(-1)) === last });
  return messages.map(describe).filter((m, i) => i === 0 || m !== 'heartbeat');
}
