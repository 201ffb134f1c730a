import { connect, type Socket } from "node:net";

/** `localAddress`: where from, another of 127.0.0.0/8. */
export type Address = { path: string } | { host: string; port: number; localAddress?: string };

export interface WireReply {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** Takes the first whole reply from the bytes; null while it is not whole. Replies without a length have no body. */
const takeReply = (bytes: Buffer): { reply: WireReply; rest: Buffer } | null => {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [first = "", ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
  );
  const length = Number(headers["content-length"] ?? 0);
  const start = end + 4;
  if (bytes.length < start + length) return null;
  const body = bytes.subarray(start, start + length).toString("utf8");
  return { reply: { status: Number(first.split(" ")[1]), headers, body }, rest: bytes.subarray(start + length) };
};

/** One connection on which a test writes bytes that no HTTP client would, and reads the replies one by one. */
export class Wire {
  readonly socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #closed = false;
  #wake = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    // A reset counts as a close: which of the two it is depends on bytes that are still under way.
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#closed = true;
      this.#wake();
    });
  }

  static async open(address: Address): Promise<Wire> {
    const socket = connect(address as { path: string });
    await new Promise<void>((done, failed) => socket.once("connect", done).once("error", failed));
    return new Wire(socket);
  }

  write(bytes: string | Buffer): void {
    this.socket.write(bytes);
  }

  /** The next reply; null when the other side closed the connection instead. */
  async reply(milliseconds = 10_000): Promise<WireReply | null> {
    const deadline = Date.now() + milliseconds;
    for (;;) {
      const taken = takeReply(this.#bytes);
      if (taken) {
        this.#bytes = taken.rest;
        return taken.reply;
      }
      if (this.#closed) return null;
      await this.#change(deadline, "no reply");
    }
  }

  /** Waits until the other side has closed the connection. */
  async closed(milliseconds = 10_000): Promise<void> {
    const deadline = Date.now() + milliseconds;
    while (!this.#closed) await this.#change(deadline, "not closed");
  }

  async #change(deadline: number, complaint: string): Promise<void> {
    await new Promise<void>((done, failed) => {
      const timer = setTimeout(() => failed(new Error(`${complaint} in time`)), Math.max(0, deadline - Date.now()));
      this.#wake = () => {
        clearTimeout(timer);
        done();
      };
    });
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** Writes the bytes on a connection of their own and gives the reply. */
export const exchange = async (address: Address, bytes: string | Buffer): Promise<WireReply | null> => {
  using wire = await Wire.open(address);
  wire.write(bytes);
  return await wire.reply();
};
