// The gRPC clients of the end-to-end tests, whose packages they share: Momento's SDK, and its messages
// over plain grpc-js for what the SDK hides (the page, and where it resumes).
import { createRequire } from 'node:module';

const require = createRequire(new URL('../e2e/momento.mjs', import.meta.url));
export const sdk = require('@gomomento/sdk');
const grpc = require('@grpc/grpc-js');
const { cache_client: { pubsub } } = require('@gomomento/generated-types/dist/cachepubsub.js');

export const topicClient = (host, port) => new sdk.TopicClient({
  configuration: sdk.TopicConfigurations.Default.latest(new sdk.NoopMomentoLoggerFactory()),
  credentialProvider: sdk.CredentialProvider.forMomentoLocal({ hostname: host, port }),
});

/** Subscribes from a place; `each` gets every _SubscriptionItem. Resolves when the stream is over. */
export function subscribe(url, { cache, topic, number, page, each, signal }) {
  // A connection of its own: a shared one waits longer and longer before it tries a dead server again.
  const client = new grpc.Client(new URL(url).host, grpc.credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const request = new pubsub._SubscriptionRequest({ cache_name: cache, topic, resume_at_topic_sequence_number: number, sequence_page: page });
  return new Promise((done) => {
    const call = client.makeServerStreamRequest('/cache_client.pubsub.Pubsub/Subscribe',
      (m) => Buffer.from(m.serializeBinary()), (b) => pubsub._SubscriptionItem.deserializeBinary(b), request);
    const cancel = () => call.cancel();
    signal.addEventListener('abort', cancel);
    call.on('data', each);
    call.on('error', () => {});
    call.on('status', () => { signal.removeEventListener('abort', cancel); client.close(); done(); });
  });
}
