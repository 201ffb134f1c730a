import type { Socket } from "node:net";
import type { Caller } from "../domain/callers.ts";
import { DomainError } from "../domain/errors.ts";
import type { PeerScopes } from "../domain/peer-scopes.ts";
import type { ConnectedPeers } from "./connected-peers.ts";

/** Who asks over a connection to the unix socket, by the rules. It is the same for as long as the connection stands. */
export class PeerCallers {
  readonly #scopes: PeerScopes;
  readonly #peers: ConnectedPeers;
  readonly #callers = new WeakMap<Socket, Caller>();

  constructor(scopes: PeerScopes, peers: ConnectedPeers) {
    this.#scopes = scopes;
    this.#peers = peers;
  }

  /** Null before it was found. */
  known(socket: Socket): Caller | null {
    return this.#callers.get(socket) ?? null;
  }

  /** @throws DomainError `forbidden` where no rule is about them, `launcher-unavailable` where it cannot be found out who they are */
  async find(socket: Socket): Promise<Caller> {
    const peer = await this.#peers.of(socket, true);
    if (peer === null) throw new DomainError("launcher-unavailable", "the launcher does not say who has connected to the unix socket");
    const caller = this.#scopes.callerOf(peer);
    this.#callers.set(socket, caller);
    return caller;
  }
}
