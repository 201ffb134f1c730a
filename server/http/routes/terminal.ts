import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import websocket from "@fastify/websocket";
import type { FastifyRequest } from "fastify";
import { Type } from "typebox";
import { DomainError } from "../../domain/errors.ts";
import { auditHandshake } from "../audit.ts";
import { ProcessPath } from "../schemas/processes.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";
import { isTerminalHandshake } from "../terminal-handshake.ts";
import { TerminalSession } from "../terminal-session.ts";

const subprotocol = "unshared.terminal.v1";
/** Bytes of one frame from a viewer, such as something pasted. */
const frameBytes = 4_194_304;

const description = `A WebSocket (RFC 6455) with the subprotocol \`${subprotocol}\`. Binary frames are bytes: from the server what the process writes, beginning with
what is held of it, from the client what is typed. Text frames are JSON. The client may send \`{"type":"resize","rows":40,"columns":120}\` and
\`{"type":"signal","signal":"SIGTERM","group":true}\`. The server sends \`{"type":"exit","exit":{...}}\` as its last, \`{"type":"error","problem":{...}}\` when something
the client sent could not be done, and \`{"type":"gap","first":N}\` where output was dropped because the viewer was too slow.
Several viewers may be there at a time: all see the same, and all may type. Their leaving ends nothing. The server pings every 20 seconds, and gives up a viewer that
has not answered for 60. A page, whose WebSocket can send no \`Authorization\`, offers its token as a second subprotocol: \`unshared.bearer.\` and the token in
base64url without padding. Close codes: 1000 the process ended, 1001 the sandbox or the daemon ended, 1011 the output cannot be read.`;

const checkHandshake = (request: FastifyRequest): void => {
  if (request.ws !== true) throw new DomainError("upgrade-required", "this path answers WebSocket handshakes only");
  const { "sec-websocket-version": version, "sec-websocket-key": key, "sec-websocket-protocol": offered } = request.headers;
  if (version !== "13" || !/^[+/0-9A-Za-z]{22}==$/.test(String(key)))
    throw new DomainError("invalid-request", "this is no WebSocket handshake of version 13 (RFC 6455)");
  const protocols = offered?.split(",").map((each) => each.trim()) ?? [subprotocol];
  if (!protocols.includes(subprotocol)) throw new DomainError("invalid-request", `the subprotocol of terminals is ${subprotocol}`);
};

/** Terminals of processes, live. */
export const terminalRoutes =
  ({ processes, audit }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    await app.register(websocket, {
      options: { maxPayload: frameBytes, handleProtocols: (offered: Set<string>) => offered.has(subprotocol) && subprotocol },
      errorHandler: (error, socket, request) => {
        request.log.debug({ err: error }, "a terminal's connection failed");
        socket.terminate();
      },
    });
    // A handshake that is refused has left HTTP all the same: nobody reads another request of that connection.
    app.addHook("onSend", async (request, reply, payload) => {
      if (isTerminalHandshake(request.raw.url, request.raw.headers.upgrade)) void reply.header("connection", "close");
      return payload;
    });
    app.addHook("onResponse", async (request) => {
      if (isTerminalHandshake(request.raw.url, request.raw.headers.upgrade)) request.raw.socket.end();
    });
    app.route({
      method: "GET",
      url: "/v1/sandboxes/:sandbox/processes/:process/terminal",
      config: { changes: true },
      schema: {
        tags: ["processes"],
        operationId: "attachTerminal",
        summary: "See and use the terminal of a process",
        description,
        params: ProcessPath,
        querystring: Type.Object(
          {
            after: Type.Optional(
              Type.String({ pattern: "^([0-9]{1,15}|held)$", description: "The record after which to begin; what is held by default." }),
            ),
          },
          { additionalProperties: false },
        ),
        response: {
          101: Type.Null({ description: "The terminal." }),
          ...problemResponses(
            "invalid-request",
            "upgrade-required",
            "sandbox-not-found",
            "process-not-found",
            "no-terminal",
            "launcher-unavailable",
          ),
        },
      },
      preHandler: async (request) => {
        processes.checkTerminal(request.params.sandbox, request.params.process);
        checkHandshake(request);
      },
      wsHandler: async (socket, request) => {
        const { sandbox, process } = request.params as { sandbox: string; process: string };
        const { after = "held" } = request.query as { after?: string };
        const path = request.url.split("?", 1)[0] ?? request.url;
        const target = { sandbox, process, after: after === "held" ? ("held" as const) : Number(after), path };
        void auditHandshake(audit, request);
        await new TerminalSession(socket, processes, target).run();
      },
      // Only handshakes get past the check, and they are answered by the handler above.
      handler: async () => undefined as never,
    });
  };
