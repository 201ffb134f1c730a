/** What was answered to a keyed request. */
export interface StoredReply {
  status: number;
  /** The body as it was sent. */
  body: string;
  contentType: string;
  location: string | null;
}

/** A key as it was used: by whom, on which route, for which body. */
export interface KeyUse {
  caller: string;
  route: string;
  key: string;
  bodyHash: string;
}

export interface IdempotencyStore {
  /**
   * Claims the key for a new request, or tells how it was used before: `reused` for another body, or the first reply.
   * `running`: the first request has no stored reply yet.
   */
  claim(use: KeyUse): { kind: "new" } | { kind: "reused" } | { kind: "running" } | { kind: "replied"; reply: StoredReply };
  /** Stores the reply; null frees the key, so that a retry runs anew. Resolves when that is durable. */
  settle(use: KeyUse, reply: StoredReply | null): Promise<void>;
}
