import { expect, it } from "vitest";
import { OutputReaders } from "../../server/domain/output-readers.ts";

it("waits for nobody where nobody reads", async () => {
  const readers = new OutputReaders();
  readers.enter("other");
  await readers.settled("one", 60_000);
  expect(readers.isAwaited("one")).toBe(false);
});

it("waits until the last reader is through, each counted once", async () => {
  const readers = new OutputReaders();
  const [first, second] = [readers.enter("one"), readers.enter("one")];
  let over = false;
  const settled = readers.settled("one", 60_000).then(() => {
    over = true;
  });
  first();
  first();
  await new Promise((next) => setImmediate(next));
  expect([over, readers.isAwaited("one")]).toEqual([false, true]);
  second();
  await settled;
  expect(readers.isAwaited("one")).toBe(false);
});

it("waits for a reader that stalls no longer than it is told to", async () => {
  const readers = new OutputReaders();
  readers.enter("one");
  await readers.settled("one", 5);
  expect(readers.isAwaited("one")).toBe(false);
});
