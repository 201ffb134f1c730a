import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { FastifyInstance } from "fastify";
import { DomainError } from "../domain/errors.ts";

/** How long a client that is refused may go on sending before the connection is cut: milliseconds. */
const lingerMilliseconds = 5_000;

const untimed = new WeakSet<Socket>();

/** Whether the request that arrives on this connection may take longer than others: its body is a stream that is watched for stalls instead. */
export const isUntimed = (socket: Socket): boolean => untimed.has(socket);

/**
 * Makes the routes of this plugin take bodies of any type and size as they come, unparsed: by `bodyOf`. For a plugin of its own,
 * since the parsers of JSON are taken away.
 */
export const streamedBodies = (app: FastifyInstance): void => {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, _payload, done) => done(null, undefined));
  app.addHook("onRequest", (request, _reply, done) => {
    untimed.add(request.raw.socket);
    done();
  });
  app.addHook("onResponse", (request, _reply, done) => {
    const { raw } = request;
    const settle = () => {
      if (raw.complete) untimed.delete(raw.socket);
      else raw.socket.destroy();
    };
    // Node reads on and throws away, so that the client sees the answer; but not for ever.
    if (raw.complete) settle();
    else setTimeout(settle, lingerMilliseconds).unref();
    done();
  });
};

/**
 * The chunks of a request's body. Leaving the loop early leaves the connection as it is, so that an answer can be sent.
 * @param milliseconds how long the next byte may take
 * @throws DomainError `request-timeout` when it takes longer; the error of the connection when the client is gone
 */
export async function* bodyOf(raw: IncomingMessage, milliseconds: number): AsyncGenerator<Buffer> {
  const chunks = raw.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;
  let stalled = (_error: Error): void => {};
  const timer = setTimeout(() => {
    stalled(new DomainError("request-timeout", `nothing of the body arrived for ${milliseconds / 1000} seconds`));
  }, milliseconds);
  // Not by Promise.race: the promise that waits longest would keep every chunk that came meanwhile.
  const next = () =>
    new Promise<IteratorResult<Buffer>>((resolve, reject) => {
      stalled = reject;
      chunks.next().then(resolve, reject);
    });
  try {
    for (;;) {
      timer.refresh();
      const { done, value } = await next();
      if (done === true) return;
      yield value;
    }
  } finally {
    clearTimeout(timer);
  }
}
