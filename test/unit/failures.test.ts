import fastify from "fastify";
import { expect, it } from "vitest";
import { failures } from "../../server/http/failures.ts";

it("an unexpected failure leads by its requestId to the log's line, which alone has the cause", async () => {
  const lines: string[] = [];
  const app = fastify({ logger: { stream: { write: (line: string) => void lines.push(line) } } });
  failures(app);
  app.get("/breaks", () => {
    throw new Error("a secret");
  });
  await app.inject("/nowhere");
  const reply = await app.inject("/breaks");
  expect(reply.statusCode).toBe(500);
  expect(reply.body).not.toContain("a secret");
  const { code, requestId } = reply.json();
  expect([code, requestId]).toEqual(["internal", expect.stringMatching(/./)]);
  const told = lines.map((line) => JSON.parse(line)).filter(({ err }) => err?.message === "a secret");
  expect(told.map(({ reqId }) => reqId)).toEqual([requestId]);
});
