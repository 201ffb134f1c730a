import { request as httpsRequest } from "node:https";
import type { WebhookSender } from "../domain/webhook-delivery.ts";

/** By an import Node would read all of undici (listeners.ts). */
const { request: httpRequest } = process.getBuiltinModule("node:http");

/** POST by Node's own client, which follows no redirects; a connection for each, so that none idles. The answer's body is not read. */
export const webhookSender: WebhookSender = {
  send: ({ url, headers, body, signal }) =>
    new Promise((resolve, reject) => {
      const send = url.startsWith("https:") ? httpsRequest : httpRequest;
      const length = `${Buffer.byteLength(body)}`;
      const options = {
        method: "POST",
        agent: false as const,
        signal,
        maxHeaderSize: 16_384,
        headers: { ...headers, "content-length": length, "user-agent": "unshared" },
      };
      const request = send(url, options, (response) => {
        resolve({ status: response.statusCode ?? 0 });
        request.destroy();
      });
      // An abort is told as such; what went wrong on the way has a code.
      request.on("error", (error: NodeJS.ErrnoException) => reject(new Error(error.code ?? error.message)));
      request.end(body);
    }),
};
