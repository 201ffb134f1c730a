import { createHmac } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { isOfType, type StoredEvent } from "./events.ts";
import type { Journal } from "./journal.ts";
import type { Measurements } from "./measurements.ts";
import type { Logger, Persistence } from "./ports.ts";
import type { WebhookRow, WebhookStore } from "./webhooks.ts";

/** One HTTP request, and nothing of its answer but the status. */
export interface WebhookSender {
  /** Follows no redirect. @throws Error, whose message can be shown, when there is no answer, or the signal aborts */
  send(request: { url: string; headers: Record<string, string>; body: string; signal: AbortSignal }): Promise<{ status: number }>;
}

export interface DeliveryRoom {
  store: Pick<WebhookStore, "progress">;
  events: Journal<StoredEvent>;
  persistence: Persistence;
  sender: WebhookSender;
  measurements: Pick<Measurements, "webhookAttempt">;
  log: Logger;
}

const pageLength = 100;
/** How many events that were not asked for may be passed over before that is stored. */
const unstoredEvents = 1_000;
/** The pause after a first failure, and the longest: milliseconds. Each is twice the one before, less a random half. */
const firstPause = 1_000;
const longestPause = 300_000;

/** One event as `GET /v1/events` tells it: what is sent, and signed. */
export const eventText = ({ id, type, time, subject, data }: StoredEvent): string =>
  JSON.stringify({ id, type, time: new Date(time).toISOString(), subject, data });

/** Symmetric signature of Standard Webhooks: HMAC-SHA256 over id, time and body. @param seconds since 1970 */
export const signatureOf = (secret: Buffer, id: string, seconds: number, body: string): string =>
  `v1,${createHmac("sha256", secret).update(`${id}.${seconds}.${body}`).digest("base64")}`;

/** Sends the events of one webhook, one after the other. */
export class Delivery {
  row: WebhookRow;
  readonly #room: DeliveryRoom;
  readonly #ending = new AbortController();
  #stored: number;
  #work: Promise<void> = Promise.resolve();

  constructor(room: DeliveryRoom, row: WebhookRow) {
    this.#room = room;
    this.row = row;
    this.#stored = row.cursor;
  }

  begin(): void {
    this.#work = this.#keepRunning();
  }

  /** Resolves when nothing more is sent. */
  async end(): Promise<void> {
    this.#ending.abort();
    await this.#work;
  }

  /** A disk that is full or fails stops it for a while only. */
  async #keepRunning(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      try {
        await this.#run();
      } catch (error) {
        this.#room.log.error(
          { err: error, webhook: this.row.id },
          "events of a webhook could not be read, or where it stands not be stored",
        );
        await this.#rest(longestPause / 30);
      }
    }
  }

  async #run(): Promise<void> {
    const { events, persistence } = this.#room;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const { first } = events.span();
      if (this.row.cursor + 1 < first) this.#advance({ cursor: first - 1, gaps: this.row.gaps + 1 });
      const page = events.page(this.row.cursor, pageLength);
      // What was sent must outlast a crash of the host: its number would be given out again.
      if (page.length > 0) await persistence.durable();
      for (const event of page) {
        if (this.#isAskedFor(event)) await this.#deliver(event);
        else this.row = { ...this.row, cursor: event.id };
        if (signal.aborted) return;
      }
      if (this.row.cursor - this.#stored >= unstoredEvents) this.#advance({});
      if (page.length === 0) await events.changed(signal);
    }
  }

  #isAskedFor({ type, subject }: StoredEvent): boolean {
    const { sandbox, types } = this.row;
    return (sandbox === null || subject === sandbox) && (types.length === 0 || types.some((each) => isOfType(each, type)));
  }

  /** Until it has arrived, or is given up. */
  async #deliver(event: StoredEvent): Promise<void> {
    const { measurements, log } = this.#room;
    const { signal } = this.#ending;
    for (let attempt = 1; ; attempt++) {
      const failure = await this.#attempt(event);
      if (signal.aborted) return;
      const done = { cursor: event.id, lastFailure: failure };
      if (failure === null) {
        measurements.webhookAttempt("delivered");
        return this.#advance({ ...done, delivered: this.row.delivered + 1, lastDeliveredAt: Date.now() });
      }
      if (attempt >= this.row.maxAttempts) {
        measurements.webhookAttempt("dead-letter");
        log.warn(
          { webhook: this.row.id, event: event.id, attempts: attempt, failure },
          "an event was given up: its webhook does not take it",
        );
        return this.#advance({ ...done, deadLetters: this.row.deadLetters + 1 });
      }
      measurements.webhookAttempt("failed");
      this.row = { ...this.row, lastFailure: failure };
      const pause = Math.min(longestPause, firstPause * 2 ** (attempt - 1));
      await this.#rest(pause * (0.5 + Math.random() / 2));
      if (signal.aborted) return;
    }
  }

  /** Until then, or until it ends. */
  async #rest(milliseconds: number): Promise<void> {
    await sleep(milliseconds, null, { signal: this.#ending.signal, ref: false }).catch(() => {});
  }

  /** Why it failed; null when it arrived. */
  async #attempt(event: StoredEvent): Promise<string | null> {
    const { id, url, secret, timeoutSeconds } = this.row;
    const body = eventText(event);
    const messageId = `${id}-${event.id}`;
    const seconds = Math.floor(Date.now() / 1000);
    const headers = {
      "content-type": "application/json",
      "webhook-id": messageId,
      "webhook-timestamp": `${seconds}`,
      "webhook-signature": signatureOf(secret, messageId, seconds, body),
    };
    const late = AbortSignal.timeout(timeoutSeconds * 1000);
    try {
      const { status } = await this.#room.sender.send({ url, headers, body, signal: AbortSignal.any([this.#ending.signal, late]) });
      if (status >= 200 && status < 300) return null;
      return status >= 300 && status < 400 ? `answered ${status}; redirects are not followed` : `answered ${status}`;
    } catch (error) {
      return late.aborted ? `did not answer within ${timeoutSeconds} s` : (error as Error).message.slice(0, 200);
    }
  }

  #advance(changes: Partial<WebhookRow>): void {
    this.row = { ...this.row, ...changes };
    this.#stored = this.row.cursor;
    this.#room.store.progress(this.row);
  }
}
