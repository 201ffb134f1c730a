import type { Events } from "../domain/ports.ts";
import type { Database, Statement } from "./database.ts";

export class EventStore implements Events {
  readonly #insert: Statement<[number, string, string, string], never>;

  constructor(database: Database) {
    this.#insert = database.prepare("INSERT INTO events (time, type, subject, data) VALUES (?, ?, ?, ?)");
  }

  append(type: string, subject: string, data: Record<string, unknown>): void {
    this.#insert.run(Date.now(), type, subject, JSON.stringify(data));
  }
}
