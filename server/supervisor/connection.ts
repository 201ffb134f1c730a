import { connect, type OnReadOpts, type Socket } from "node:net";
import { Fields } from "./fields.ts";
import { Decoder, encode, type Field, type Message, type MessageName, ProtocolError } from "./protocol.ts";

/** The other end answered ERROR; `fields` are its members. */
export class RefusedError extends Error {
  readonly code: string;
  readonly fields: Fields;

  constructor(message: Message) {
    const fields = new Fields(message);
    super(fields.optional("message") ?? fields.text("code"));
    this.code = fields.text("code");
    this.fields = fields;
  }
}

/** The connection ended, or never came to be, before there was an answer. */
export class ConnectionLostError extends Error {
  /** The errno name of connect(2) or of the socket, such as ENOENT, ECONNREFUSED; empty at an orderly end. */
  readonly errno: string;

  constructor(message: string, errno = "") {
    super(message);
    this.errno = errno;
  }
}

/** No answer in time; the connection goes on. */
export class ReplyTimeoutError extends Error {
  /** The answer, where one comes after all; rejects as the request would have. */
  readonly late: Promise<Message>;

  constructor(message: string, late: Promise<Message>) {
    super(message);
    this.late = late;
    late.catch(() => {});
  }
}

interface Waiting {
  expects: MessageName;
  resolve(message: Message): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout | null;
}

/** What every connection reads into, one after the other: a buffer for each read would be garbage of the size of all output that is read. */
const readBuffer = Buffer.allocUnsafeSlow(65_536);

/** One connection of the protocol: requests answered in any order, events, and one report of its end. */
export class Connection {
  readonly #socket: Socket;
  readonly #decoder = new Decoder();
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  #ended = false;
  onEvent: (message: Message) => void = () => {};
  onClose: (error: Error) => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    let cause: NodeJS.ErrnoException | null = null;
    socket.on("error", (error: NodeJS.ErrnoException) => {
      cause ??= error;
    });
    socket.on("close", () => {
      this.#end(new ConnectionLostError(cause?.message ?? "the other end closed the connection", cause?.code));
    });
  }

  /** Connects to the unix socket at `path`. @throws ConnectionLostError */
  static open(path: string): Promise<Connection> {
    return new Promise((resolve, reject) => {
      let connection: Connection | null = null;
      const onread: OnReadOpts = {
        buffer: readBuffer,
        callback: (length, buffer) => {
          if (connection !== null) connection.#read((buffer as Buffer).subarray(0, length));
          return true;
        },
      };
      const socket = connect({ path, onread });
      const failed = (error: NodeJS.ErrnoException) => reject(new ConnectionLostError(error.message, error.code));
      socket.once("error", failed);
      socket.once("connect", () => {
        socket.off("error", failed);
        connection = new Connection(socket);
        resolve(connection);
      });
    });
  }

  get open(): boolean {
    return !this.#ended;
  }

  /**
   * Sends a request and gives its reply. Without a timeout it may take as long as the connection lives.
   * @throws RefusedError, ConnectionLostError, ReplyTimeoutError, ProtocolError
   */
  request(
    name: MessageName,
    fields: readonly Field[],
    expects: MessageName,
    timeoutMilliseconds: number | null,
    payload: Buffer | null = null,
  ): Promise<Message> {
    if (this.#ended) return Promise.reject(new ConnectionLostError("the connection is closed"));
    this.#last = this.#last === 0xffffffff ? 1 : this.#last + 1;
    const request = this.#last;
    return new Promise((resolve, reject) => {
      const frame = encode(name, request, fields, payload);
      const late = () => {
        const answer = new Promise<Message>((resolveLate, rejectLate) => {
          this.#waiting.set(request, { expects, resolve: resolveLate, reject: rejectLate, timer: null });
        });
        reject(new ReplyTimeoutError(`no answer to ${name} within ${timeoutMilliseconds} ms`, answer));
      };
      const timer = timeoutMilliseconds === null ? null : setTimeout(late, timeoutMilliseconds);
      this.#waiting.set(request, { expects, resolve, reject, timer });
      this.#socket.write(frame);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    try {
      for (const message of this.#decoder.push(chunk)) this.#take(message);
    } catch (error) {
      this.#end(error as Error);
      this.#socket.destroy();
    }
  }

  #take(message: Message): void {
    if (message.request === 0) {
      this.onEvent(message);
      return;
    }
    const waiting = this.#waiting.get(message.request);
    if (waiting === undefined) return;
    this.#waiting.delete(message.request);
    if (waiting.timer !== null) clearTimeout(waiting.timer);
    if (message.name === waiting.expects) waiting.resolve(message);
    else if (message.name === "ERROR") waiting.reject(new RefusedError(message));
    else {
      const error = new ProtocolError(`${message.name} is no answer, expected ${waiting.expects}`);
      waiting.reject(error);
      throw error;
    }
  }

  /** Resolves when the other end has closed the connection, or after so long. */
  async closed(milliseconds: number): Promise<void> {
    if (this.#ended) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#socket.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #end(error: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const { reject, timer } of this.#waiting.values()) {
      if (timer !== null) clearTimeout(timer);
      reject(error);
    }
    this.#waiting.clear();
    this.onClose(error);
  }
}
