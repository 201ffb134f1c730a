import type { RequestListener, Server } from "node:http";
import { Server as TlsServer } from "node:https";
import type { Socket } from "node:net";
import type { CutReason } from "../domain/measurements.ts";

/** Requests of one connection that may wait for their answers. Node makes requests of all that came with one read, thousands of short ones. */
const mostPipelined = 64;

/** How far a connection is: bytes that were handed to the kernel whole, and what is left of those under way. */
interface Progress {
  delivered: number;
  queued: number;
  since: number;
}

/** What libuv still has of a write that the kernel took in part. Node's own time-outs look at it, and have no public name for it. */
const queuedBytes = (socket: Socket): number =>
  (socket as unknown as { _handle?: { writeQueueSize?: number } })._handle?.writeQueueSize ?? 0;

/**
 * What a client may make the daemon wait for. Node's own limits end a request that does not arrive (listeners.ts); this ends an answer that
 * is not read: a connection whose bytes the kernel takes no more of for so long is destroyed, with all that waits for it. Node's idle
 * time-out would not do: each keep-alive that is written begins it anew, whether it leaves or not.
 */
export class ConnectionLimits {
  /** How long a client may take to send a request, and to go on reading its answer. */
  readonly milliseconds: number;
  readonly #wasCut: (reason: CutReason) => void;
  readonly #open = new Set<Socket>();
  readonly #waiting = new WeakMap<Socket, Progress>();
  #timer: NodeJS.Timeout | undefined;

  /** @param wasCut is told of each connection that was cut off */
  constructor(milliseconds: number, wasCut: (reason: CutReason) => void) {
    this.milliseconds = milliseconds;
    this.#wasCut = wasCut;
  }

  /** Watches all connections of this server, also those that leave HTTP for a WebSocket. */
  watch(server: Server): void {
    server.on(server instanceof TlsServer ? "secureConnection" : "connection", (socket: Socket) => {
      this.#open.add(socket);
      socket.once("close", () => this.#open.delete(socket));
      this.#timer ??= setInterval(() => this.#look(performance.now()), this.milliseconds / 4).unref();
    });
  }

  /** Hands requests on, and destroys a connection that sends more of them than it takes answers. */
  bounded(handler: RequestListener): RequestListener {
    const open = new WeakMap<Socket, number>();
    return (request, response) => {
      const { socket } = request;
      if (socket.destroyed) return;
      const count = (open.get(socket) ?? 0) + 1;
      if (count > mostPipelined) return this.#cut(socket, "answer-unread");
      open.set(socket, count);
      response.once("close", () => open.set(socket, (open.get(socket) ?? 1) - 1));
      handler(request, response);
    };
  }

  /** One was cut off elsewhere. */
  counted(reason: CutReason): void {
    this.#wasCut(reason);
  }

  #cut(socket: Socket, reason: CutReason): void {
    this.#wasCut(reason);
    socket.destroy();
  }

  #look(now: number): void {
    if (this.#open.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    for (const socket of this.#open) {
      if (socket.writableLength === 0) {
        this.#waiting.delete(socket);
        continue;
      }
      const [delivered, queued] = [socket.bytesWritten - socket.writableLength, queuedBytes(socket)];
      const last = this.#waiting.get(socket);
      if (last === undefined || last.delivered !== delivered || last.queued !== queued)
        this.#waiting.set(socket, { delivered, queued, since: now });
      else if (now - last.since >= this.milliseconds) this.#cut(socket, "answer-unread");
    }
  }
}
