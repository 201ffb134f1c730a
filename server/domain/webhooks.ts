import { randomBytes } from "node:crypto";
import { DomainError } from "./errors.ts";
import { type StoredEvent, sandboxIdOf } from "./events.ts";
import { newId } from "./ids.ts";
import type { Journal } from "./journal.ts";
import type { Persistence } from "./ports.ts";
import type { SandboxStore } from "./sandbox-ports.ts";
import { Delivery, type DeliveryRoom } from "./webhook-delivery.ts";

/** Somebody who is sent events. Times are milliseconds since 1970. */
export interface WebhookRow {
  id: string;
  url: string;
  /** The key of the signatures. It has to be kept as it is. */
  secret: Buffer;
  /** As in `EventQuery`; empty: all. */
  types: readonly string[];
  /** Id of the one whose events are sent; null: those of all. */
  sandbox: string | null;
  /** Attempts for one event, after which it is given up. */
  maxAttempts: number;
  timeoutSeconds: number;
  createdAt: number;
  /** The last event that is over and done with: delivered, given up, or not asked for. */
  cursor: number;
  delivered: number;
  deadLetters: number;
  /** How often events were kept no more before they could be sent. */
  gaps: number;
  lastDeliveredAt: number | null;
  /** Why the last attempt failed; null when it did not. */
  lastFailure: string | null;
}

export interface WebhookStore {
  insert(row: WebhookRow): void;
  remove(id: string): void;
  /** Stores what changes as events are sent. */
  progress(row: WebhookRow): void;
  /** Oldest first. */
  all(): WebhookRow[];
}

export interface WebhookInput {
  url: string;
  secret?: string;
  types?: readonly string[];
  sandbox?: string;
  maxAttempts?: number;
  timeoutSeconds?: number;
}

export interface WebhooksRoom extends DeliveryRoom {
  store: WebhookStore;
  events: Journal<StoredEvent>;
  persistence: Persistence;
  sandboxes: Pick<SandboxStore, "find">;
}

/** Each has one request under way at a time. */
const mostWebhooks = 64;
/** The form of keys that Standard Webhooks has (https://www.standardwebhooks.com): this, and base64. */
const secretPrefix = "whsec_";
const secretBytes = 32;

/** Sends stored events to those who want to be told: in order, each at least once, from where the last daemon was. */
export class Webhooks {
  readonly #room: WebhooksRoom;
  readonly #deliveries = new Map<string, Delivery>();

  constructor(room: WebhooksRoom) {
    this.#room = room;
  }

  /** For the daemon's start: goes on with all that are stored. */
  begin(): void {
    for (const row of this.#room.store.all()) this.#deliver(row);
  }

  /** Sends events from now on; the secret is given here and nowhere else. @throws DomainError `invalid-definition`, `sandbox-not-found`, `quota-exceeded` */
  async create(input: WebhookInput): Promise<{ row: WebhookRow; secret: string }> {
    const { store, events, persistence, sandboxes } = this.#room;
    const secret = input.secret ?? `${secretPrefix}${randomBytes(secretBytes).toString("base64")}`;
    const used = this.#deliveries.size;
    if (used >= mostWebhooks) {
      const members = { quota: "webhooks", limit: mostWebhooks, used };
      throw new DomainError("quota-exceeded", `there are ${mostWebhooks} webhooks, the most there may be`, { members });
    }
    const row: WebhookRow = {
      id: newId(),
      url: checkedUrl(input.url),
      secret: Buffer.from(secret.slice(secretPrefix.length), "base64"),
      types: input.types ?? [],
      sandbox: input.sandbox === undefined ? null : sandboxIdOf(sandboxes, input.sandbox, null),
      maxAttempts: input.maxAttempts ?? 12,
      timeoutSeconds: input.timeoutSeconds ?? 10,
      createdAt: Date.now(),
      cursor: events.span().last,
      delivered: 0,
      deadLetters: 0,
      gaps: 0,
      lastDeliveredAt: null,
      lastFailure: null,
    };
    store.insert(row);
    this.#deliver(row);
    await persistence.durable();
    return { row, secret };
  }

  /** One page, oldest first, and the cursor of the next one. */
  list({ after, limit }: { after: string | null; limit: number }): { items: WebhookRow[]; nextCursor: string | null } {
    const rows = [...this.#deliveries.values()].map(({ row }) => row).filter(({ id }) => after === null || id > after);
    const items = rows.slice(0, limit);
    return { items, nextCursor: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
  }

  /** @throws DomainError `webhook-not-found` */
  get(id: string): WebhookRow {
    return this.#need(id).row;
  }

  /** Sends nothing more; what is being sent is broken off. @throws DomainError `webhook-not-found` */
  async delete(id: string): Promise<void> {
    const delivery = this.#need(id);
    this.#deliveries.delete(id);
    this.#room.store.remove(id);
    await delivery.end();
    await this.#room.persistence.durable();
  }

  /** Breaks off what is being sent: the next daemon sends it again. */
  async shutDown(): Promise<void> {
    await Promise.all([...this.#deliveries.values()].map((delivery) => delivery.end()));
  }

  #deliver(row: WebhookRow): void {
    const delivery = new Delivery(this.#room, row);
    this.#deliveries.set(row.id, delivery);
    delivery.begin();
  }

  #need(id: string): Delivery {
    const found = this.#deliveries.get(id);
    if (found === undefined) throw new DomainError("webhook-not-found", `there is no webhook ${id}`);
    return found;
  }
}

const checkedUrl = (text: string): string => {
  const url = URL.canParse(text) ? new URL(text) : null;
  const fault =
    url === null || (url.protocol !== "http:" && url.protocol !== "https:")
      ? "is no URL of http or https"
      : url.username !== "" || url.password !== ""
        ? "must not hold a user or password: requests are signed"
        : null;
  if (fault === null) return text;
  throw new DomainError("invalid-definition", `/url ${fault}`, { faults: [{ pointer: "/url", detail: fault }] });
};
