import type { Socket } from "node:net";
import type { Peers } from "../domain/ports.ts";

/** Node's own handle of a socket has the descriptor; null once it is closed. */
const descriptorOf = (socket: Socket): number | null => {
  const fd = (socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
  return fd < 0 ? null : fd;
};

/** What those who come over the unix socket are called, as `uid 1000`: asked for once for each connection, when it is first needed. */
export class PeerNames {
  readonly #peers: Peers;
  readonly #asked = new WeakMap<Socket, Promise<string | null>>();

  constructor(peers: Peers) {
    this.#peers = peers;
  }

  /** Null where it could not be found out: the launcher is away, or the caller left before it was asked. */
  of(socket: Socket): Promise<string | null> {
    const former = this.#asked.get(socket);
    if (former !== undefined) return former;
    const name = this.#find(socket);
    this.#asked.set(socket, name);
    return name;
  }

  async #find(socket: Socket): Promise<string | null> {
    const descriptor = descriptorOf(socket);
    if (descriptor === null) return null;
    const uid = await this.#peers.peerUid(descriptor);
    // One that was closed meanwhile may have been somebody else's when it was looked at.
    if (uid !== null && descriptorOf(socket) === descriptor) return `uid ${uid}`;
    this.#asked.delete(socket);
    return null;
  }
}
