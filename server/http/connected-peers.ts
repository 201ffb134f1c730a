import type { Socket } from "node:net";
import type { Peer, Peers } from "../domain/ports.ts";

/** Node's own handle of a socket has the descriptor; null once it is closed. */
const descriptorOf = (socket: Socket): number | null => {
  const fd = (socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
  return fd < 0 ? null : fd;
};

/** Who came over the unix socket: asked for once for each connection, when it is first needed. */
export class ConnectedPeers {
  readonly #peers: Peers;
  readonly #asked = new WeakMap<Socket, Promise<Peer | null>>();

  constructor(peers: Peers) {
    this.#peers = peers;
  }

  /**
   * Null where it could not be found out: the launcher is away, or the caller left before it was asked.
   * @param patient a launcher that is away is started, and waited for
   */
  of(socket: Socket, patient = false): Promise<Peer | null> {
    const former = this.#asked.get(socket);
    if (former !== undefined) return former;
    const peer = this.#find(socket, patient);
    this.#asked.set(socket, peer);
    return peer;
  }

  async #find(socket: Socket, patient: boolean): Promise<Peer | null> {
    const descriptor = descriptorOf(socket);
    const peer = descriptor === null ? null : await this.#peers.peerOf(descriptor, patient);
    // One that was closed meanwhile may have been somebody else's when it was looked at.
    if (peer !== null && descriptorOf(socket) === descriptor) return peer;
    this.#asked.delete(socket);
    return null;
  }
}
