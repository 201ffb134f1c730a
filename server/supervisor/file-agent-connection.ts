import { connect, type Socket } from "node:net";
import { ConnectionLostError } from "./connection.ts";
import {
  type AgentField,
  type AgentFrame,
  type AgentMessageName,
  dataBytes,
  dataHead,
  encodeMessage,
  FrameDecoder,
} from "./file-agent-frames.ts";

/**
 * A connection that a file agent speaks on. Frames are pulled: while nobody asks for the next one, nothing is read, and the agent waits.
 */
export class FileAgentConnection {
  readonly #socket: Socket;
  readonly #frames: AsyncGenerator<AgentFrame>;
  #ahead: Promise<AgentFrame> | null = null;
  #request = 0;
  #closed = false;
  #endedThere = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#frames = framesOf(socket);
    // Errors are told to whoever reads; without a listener they would end the daemon.
    socket.on("error", () => {});
    socket.on("end", () => {
      this.#endedThere = true;
    });
    socket.on("close", (failed) => {
      this.#closed = true;
      this.#endedThere ||= failed;
    });
  }

  /** Connects to a supervisor and has it start an agent. @throws ConnectionLostError; the caller reads the reply to FILES */
  static open(path: string): Promise<FileAgentConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      const failed = (error: NodeJS.ErrnoException) => reject(new ConnectionLostError(error.message, error.code));
      socket.once("error", failed);
      socket.once("connect", () => {
        socket.off("error", failed);
        resolve(new FileAgentConnection(socket));
      });
    });
  }

  /** Sends a request; what comes until the next one belongs to it. Resolves when the socket takes more. */
  ask(name: AgentMessageName, fields: readonly AgentField[]): Promise<void> {
    this.#request = this.#request === 0xffffffff ? 1 : this.#request + 1;
    return this.tell(name, fields);
  }

  /** Sends a further message of the present request. */
  tell(name: AgentMessageName, fields: readonly AgentField[]): Promise<void> {
    return this.#drained(this.#socket.write(encodeMessage(name, this.#request, fields)));
  }

  /** Sends bytes of the present request. */
  async data(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length; at += dataBytes) {
      const part = chunk.subarray(at, at + dataBytes);
      this.#socket.cork();
      this.#socket.write(dataHead(this.#request, part.length));
      const more = this.#socket.write(part);
      this.#socket.uncork();
      await this.#drained(more);
    }
  }

  /** The next frame. @throws ConnectionLostError, ProtocolError */
  receive(): Promise<AgentFrame> {
    const ahead = this.#ahead ?? this.#next();
    this.#ahead = null;
    return ahead;
  }

  /** Begins to read the next frame, which `receive` then gives; calls back when it is there or will never come. */
  lookAhead(arrived: () => void): void {
    this.#ahead ??= this.#next();
    this.#ahead.then(arrived, arrived);
  }

  /** Whether the other end has ended it. */
  get ended(): boolean {
    return this.#endedThere;
  }

  close(): void {
    this.#socket.destroy();
  }

  async #next(): Promise<AgentFrame> {
    const next = await this.#frames.next();
    if (next.done === true) throw new ConnectionLostError("the file agent ended");
    return next.value;
  }

  /** Where the other end is gone, whoever reads learns why. */
  #drained(more: boolean): Promise<void> {
    if (more || this.#closed || this.#socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        this.#socket.off("drain", done);
        this.#socket.off("close", done);
        resolve();
      };
      this.#socket.on("drain", done);
      this.#socket.on("close", done);
    });
  }
}

/** @throws ConnectionLostError, ProtocolError */
async function* framesOf(socket: Socket): AsyncGenerator<AgentFrame> {
  const decoder = new FrameDecoder();
  try {
    for await (const chunk of socket) yield* decoder.push(chunk as Buffer);
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new ConnectionLostError(message, code);
  }
}
