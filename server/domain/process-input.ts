import { DomainError } from "./errors.ts";
import type { ProcessSupervisors } from "./process.ts";

/** Bytes of one INPUT: several writers of one process take turns after so many. */
const turnBytes = 262_144;

/** Writes to the stdin of processes: the supervisor takes one piece at a time, and answers when the process has room for it. */
export class ProcessInputs {
  readonly #supervisors: ProcessSupervisors;
  readonly #turns = new Map<string, Promise<void>>();

  constructor(supervisors: ProcessSupervisors) {
    this.#supervisors = supervisors;
  }

  /** Resolves when the process's pipe or terminal has taken all bytes. @throws DomainError `stdin-closed` */
  async write(sandboxId: string, process: string, bytes: Buffer, close = false): Promise<void> {
    for (let start = 0; start < bytes.length || (start === 0 && close); start += turnBytes) {
      const piece = bytes.subarray(start, start + turnBytes);
      await this.#turn(`${sandboxId} ${process}`, () =>
        this.#supervisors.input(sandboxId, process, piece, close && start + turnBytes >= bytes.length),
      );
    }
  }

  /** Writes a whole stream, never holding more than a piece of it; gives the bytes written. */
  async writeAll(sandboxId: string, process: string, stream: AsyncIterable<Buffer>, close: boolean): Promise<number> {
    let bytesWritten = 0;
    try {
      for await (const bytes of stream) {
        await this.write(sandboxId, process, bytes);
        bytesWritten += bytes.length;
      }
      if (close) await this.write(sandboxId, process, Buffer.alloc(0), true);
      return bytesWritten;
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== "stdin-closed") throw error;
      throw new DomainError(error.code, error.message, { members: { bytesWritten }, cause: error });
    }
  }

  async #turn(key: string, work: () => Promise<void>): Promise<void> {
    const before = this.#turns.get(key);
    const turn = before === undefined ? work() : before.then(work, work);
    this.#turns.set(key, turn);
    try {
      await turn;
    } finally {
      if (this.#turns.get(key) === turn) this.#turns.delete(key);
    }
  }
}
