import { randomBytes } from "node:crypto";
import type { Change, Entry, FileAgent, FileChange, Planting, WalkPiece, WriteOptions } from "../domain/file-ports.ts";
import { changeKinds } from "../domain/file-ports.ts";
import type { FileAgentConnection } from "./file-agent-connection.ts";
import { bytesOf, type Message, plantedFields, entryOf as readEntry } from "./file-agent-entries.ts";
import { fileInterruption, fileRefusal, type InvalidMeans } from "./file-agent-errors.ts";
import type { AgentField, AgentFrame, AgentMessageName } from "./file-agent-frames.ts";
import { ProtocolError } from "./protocol.ts";

const entryOf = (message: Message): Entry => {
  try {
    return readEntry(message);
  } catch (error) {
    throw fileInterruption(error);
  }
};
const bit = (value: boolean): number => (value ? 1 : 0);

/** The requests of supervisor/PROTOCOL.md, "The file agent", on one connection. */
export class FileAgentClient implements FileAgent {
  readonly #connection: FileAgentConnection;
  #closed: (() => void) | null;
  #unfinished: Buffer | null = null;

  /** @param closed called once, by `close` */
  constructor(connection: FileAgentConnection, closed: () => void) {
    this.#connection = connection;
    this.#closed = closed;
  }

  /** FILES: the connection becomes the agent's. @throws DomainError `files-busy`, `files-interrupted` */
  async begin(): Promise<void> {
    await this.#ask("FILES", []);
    await this.#expect("DONE");
  }

  async stat(path: Buffer, follow: boolean): Promise<Entry> {
    await this.#ask("STAT", [
      ["path", path],
      ["follow", bit(follow)],
    ]);
    return entryOf(await this.#expect("ENTRY"));
  }

  async list(path: Buffer, after: Buffer | null, limit: number): Promise<{ entries: Entry[]; more: boolean }> {
    await this.#ask("LIST", [["path", path], ["limit", limit], ...(after === null ? [] : [["after", after] as const])]);
    const entries: Entry[] = [];
    for (;;) {
      const message = await this.#expect("ENTRY", "DONE");
      if (message.name === "DONE") return { entries, more: message.fields.get("more") === "1" };
      if (entries.length === limit) throw fileInterruption(new ProtocolError("a listing longer than it was asked for"));
      entries.push(entryOf(message));
    }
  }

  async read(path: Buffer, offset: number, length: number): Promise<{ entry: Entry; bytes: AsyncIterable<Buffer> }> {
    await this.#ask("READ", [
      ["path", path],
      ["offset", offset],
      ["length", length],
    ]);
    const entry = entryOf(await this.#expectOf("not-a-regular-file", "ENTRY"));
    const rest = Math.max(0, entry.sizeBytes - offset);
    return { entry, bytes: this.#bytes(length === 0 ? rest : Math.min(length, rest)) };
  }

  async write(path: Buffer, options: WriteOptions, body: AsyncIterable<Buffer>): Promise<Entry> {
    const { mode, uid, gid, parents, exclusive } = options;
    const fields: AgentField[] = [
      ["path", path],
      ["mode", mode],
      ["uid", uid],
      ["gid", gid],
    ];
    const temporary = this.#growing(path.subarray(0, path.lastIndexOf(47)));
    await this.#ask("WRITE", [...fields, ["parents", bit(parents)], ["exclusive", bit(exclusive)], temporary]);
    await this.#expect("DONE");
    const sending = this.#sending();
    for await (const chunk of body) {
      if (sending.over) break;
      await this.#connection.data(chunk);
    }
    if (!sending.over) await this.#connection.tell("END", []);
    const written = entryOf(await this.#expect("ENTRY"));
    this.#unfinished = null;
    return written;
  }

  async delete(path: Buffer, recursive: boolean): Promise<void> {
    await this.#ask("DELETE", [
      ["path", path],
      ["recursive", bit(recursive)],
    ]);
    await this.#expect("DONE");
  }

  async change(change: FileChange): Promise<Entry> {
    const fields = Object.entries(change).map(([key, value]): AgentField => [key, typeof value === "boolean" ? bit(value) : value]);
    if (change.op === "copy") fields.push(this.#growing(change.to.subarray(0, change.to.lastIndexOf(47))));
    await this.#ask("CHANGE", fields);
    const regular = change.op === "copy" || change.op === "chmod";
    const entry = entryOf(await this.#expectOf(regular ? "not-a-regular-file" : "path-invalid", "ENTRY"));
    this.#unfinished = null;
    return entry;
  }

  async *walk(path: Buffer): AsyncGenerator<WalkPiece> {
    await this.#ask("WALK", [["path", path]]);
    for (;;) {
      const frame = await this.#receive("path-invalid");
      if (frame.name === "DONE") return;
      if (frame.name === "DATA") yield { entry: null, bytes: frame.bytes };
      else if (frame.name === "ENTRY") yield { entry: entryOf(frame), bytes: null };
      else throw fileInterruption(new ProtocolError(`${frame.name} in a walk`));
    }
  }

  async plant(path: Buffer): Promise<Planting> {
    await this.#ask("PLANT", [["path", path], this.#growing(path)]);
    await this.#expect("DONE");
    const sending = this.#sending();
    // An ERROR that came meanwhile says why nothing more is taken.
    const failed = async (): Promise<void> => {
      if (sending.over) await this.#expect("DONE");
    };
    return {
      entry: async (entry) => {
        await failed();
        await this.#connection.tell("ENTRY", plantedFields(entry));
      },
      bytes: async (chunk) => {
        await failed();
        await this.#connection.data(chunk);
      },
      hole: async (bytes) => {
        await failed();
        await this.#connection.tell("HOLE", [["bytes", bytes]]);
      },
      end: async () => {
        if (!sending.over) await this.#connection.tell("END", []);
        const { fields } = await this.#expect("DONE");
        this.#unfinished = null;
        return { files: Number(fields.get("files")), bytes: Number(fields.get("bytes")) };
      },
    };
  }

  async watch(path: Buffer, recursive: boolean): Promise<AsyncIterable<Change>> {
    await this.#ask("WATCH", [
      ["path", path],
      ["recursive", bit(recursive)],
    ]);
    await this.#expect("DONE");
    return this.#changes();
  }

  leftover(): Buffer | null {
    return this.#connection.ended ? this.#unfinished : null;
  }

  close(): void {
    this.#connection.close();
    this.#closed?.();
    this.#closed = null;
  }

  /** Names what grows in `directory` until it is whole, and remembers it: an agent that is killed leaves it behind. */
  #growing(directory: Buffer): AgentField {
    const name = `.unshared-${randomBytes(8).toString("hex")}`;
    this.#unfinished = Buffer.concat([directory, Buffer.from(`/${name}`)]);
    return ["temporary", name];
  }

  async *#changes(): AsyncGenerator<Change> {
    for (;;) {
      const { fields } = await this.#expect("CHANGED");
      const kind = changeKinds.find((each) => each === fields.get("kind"));
      if (kind === undefined) throw fileInterruption(new ProtocolError("a change of an unknown kind"));
      yield { path: bytesOf(fields.get("path") ?? ""), kind };
    }
  }

  /**
   * As many as the entry promised, which whoever reads has been told: not one more goes out behind them. The last piece waits for the agent's word that
   * all is well, so that of a small file nothing goes out before.
   */
  async *#bytes(promised: number): AsyncGenerator<Buffer> {
    let left = promised;
    while (left > 0) {
      const frame = await this.#receive("path-invalid");
      if (frame.name !== "DATA" || frame.bytes.length > left)
        throw fileInterruption(new ProtocolError(`${frame.name} among the bytes of a file, of which ${left} are missing`));
      left -= frame.bytes.length;
      if (left === 0) await this.#expect("DONE");
      yield frame.bytes;
    }
    if (promised === 0) await this.#expect("DONE");
  }

  /** `over` once the agent has answered, or ended, before all was sent. */
  #sending(): { over: boolean } {
    const state = { over: false };
    this.#connection.lookAhead(() => {
      state.over = true;
    });
    return state;
  }

  async #ask(name: AgentMessageName, fields: readonly AgentField[]): Promise<void> {
    await this.#connection.ask(name, fields);
  }

  #expect(...names: Message["name"][]): Promise<Message> {
    return this.#expectOf("path-invalid", ...names);
  }

  async #expectOf(invalidMeans: InvalidMeans, ...expected: Message["name"][]): Promise<Message> {
    const frame = await this.#receive(invalidMeans);
    if (frame.name !== "DATA" && expected.includes(frame.name)) return frame;
    throw fileInterruption(new ProtocolError(`${frame.name} is no answer, expected ${expected.join(" or ")}`));
  }

  async #receive(invalidMeans: InvalidMeans): Promise<AgentFrame> {
    let frame: AgentFrame;
    try {
      frame = await this.#connection.receive();
    } catch (error) {
      throw fileInterruption(error);
    }
    if (frame.name === "ERROR") {
      // What was unfinished is undone before it is told.
      this.#unfinished = null;
      throw fileRefusal(frame.fields, invalidMeans);
    }
    return frame;
  }
}
