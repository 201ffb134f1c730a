import { type Client, connect } from "../index.ts";
import { Output } from "./output.ts";

/** The options that stand before any command. */
export interface GlobalOptions {
  socket?: string;
  url?: string;
  token?: string;
  json?: boolean;
  color?: boolean;
}

/** What a command works with. */
export interface Context {
  client: Client;
  out: Output;
}

/** Few attempts: a person who waits wants to hear that no daemon is there. */
const retries = { attempts: 3, longestSeconds: 2, reconnectSeconds: 60 };

export const contextOf = (options: GlobalOptions): Context => {
  const { socket, url, token } = options;
  return {
    client: connect({ socket, url, token, retries }),
    out: new Output({ json: options.json === true, color: options.color !== false }),
  };
};
