import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { startSmallDaemon } from "./small-daemon.ts";

interface Item {
  id: string;
  name: string;
}

const count = 250;
let daemon: Daemon;
let made: Item[] = [];
beforeAll(async () => {
  daemon = await startSmallDaemon();
  const create = async (index: number): Promise<Item> => {
    const labels = { parity: index % 2 === 0 ? "even" : "odd", third: `${index % 3}`, "a/b.c-d_e": "= &%" };
    return (await daemon.request("POST", "/v1/sandboxes", { name: `box-${index}`, labels })).body;
  };
  for (let start = 0; start < count; start += 25)
    made.push(...(await Promise.all(Array.from({ length: 25 }, (_, offset) => create(start + offset)))));
  made = made.sort((a, b) => (a.id < b.id ? -1 : 1));
});
afterAll(() => daemon[Symbol.asyncDispose]());

const page = async (query: string): Promise<{ items: Item[]; nextCursor: string | null }> => {
  const { status, body, text } = await daemon.request("GET", `/v1/sandboxes?${query}`);
  expect(status, text.slice(0, 300)).toBe(200);
  return body;
};

/** All pages one after the other; `between` runs after each. */
const walk = async (query: string, between = async (_page: number): Promise<void> => {}): Promise<Item[]> => {
  const items: Item[] = [];
  let cursor: string | null = "";
  for (let turn = 0; cursor !== null; turn++) {
    const found = await page(`${query}${cursor && `&cursor=${cursor}`}`);
    items.push(...found.items);
    cursor = found.nextCursor;
    await between(turn);
  }
  return items;
};
const names = (items: readonly Item[]) => items.map(({ name }) => name).sort();

describe("paging", () => {
  it.each([1, 7, 50, 125, 249, 250, 251, 1000])("by %i is complete, in order and without doubles", async (limit) => {
    expect((await walk(`limit=${limit}`)).map(({ id }) => id)).toEqual(made.map(({ id }) => id));
  });

  it("has 100 to a page unless told, and no cursor on the last", async () => {
    const first = await page("");
    expect([first.items.length, typeof first.nextCursor]).toEqual([100, "string"]);
    expect(await page(`limit=${count}`)).toMatchObject({ nextCursor: null });
  });

  it("shows each row that stays exactly once while others are added and deleted", async () => {
    const doomed = made.filter((_, index) => index % 10 === 5);
    const added: string[] = [];
    const seen = await walk("limit=10", async (turn) => {
      const victim = doomed[turn];
      // Before, at and after the cursor: the row under the cursor itself is among them.
      if (victim) expect((await daemon.request("DELETE", `/v1/sandboxes/${victim.id}`)).status).toBe(200);
      if (turn % 3 === 0 && turn < 30) added.push((await daemon.request("POST", "/v1/sandboxes", { name: `late-${turn}` })).body.id);
    });
    const ids = seen.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const gone = new Set(doomed.map(({ id }) => id));
    expect(ids.filter((id) => !gone.has(id) && !added.includes(id))).toEqual(made.map(({ id }) => id).filter((id) => !gone.has(id)));
    for (const id of added) expect(ids).toContain(id);
    for (const id of added) await daemon.request("DELETE", `/v1/sandboxes/${id}`);
    made = made.filter(({ id }) => !gone.has(id));
  });

  it("goes on when the row of its cursor is gone", async () => {
    const { items, nextCursor } = await page("limit=3");
    const [first, second, last] = items as [Item, Item, Item];
    await daemon.request("DELETE", `/v1/sandboxes/${last.id}`);
    made = made.filter(({ id }) => id !== last.id);
    expect((await page(`limit=1&cursor=${nextCursor}`)).items[0]?.id).toBe(made[2]?.id);
    expect([first.id, second.id]).toEqual([made[0]?.id, made[1]?.id]);
  });
});

describe("filters", () => {
  const indexOf = ({ name }: Item) => Number(name.slice(4));

  it("by label, all of which must match", async () => {
    const even = made.filter((item) => indexOf(item) % 2 === 0);
    expect(names(await walk("limit=40&label=parity=even"))).toEqual(names(even));
    expect(names(await walk("label=parity=even&label=third=0"))).toEqual(names(even.filter((item) => indexOf(item) % 3 === 0)));
    expect((await walk(`limit=100&label=${encodeURIComponent("a/b.c-d_e== &%")}`)).length).toBe(made.length);
    for (const none of ["parity=eve", "parity=even2", "PARITY=even", "parity=", "no=even", "parity=%25", "parity=ev_n"])
      expect((await page(`label=${none}`)).items, none).toEqual([]);
  });

  it("by name, exactly", async () => {
    expect(names((await page("name=box-7")).items)).toEqual(made.some(({ name }) => name === "box-7") ? ["box-7"] : []);
    expect((await page("name=box")).items).toEqual([]);
  });

  it("by state, one or several", async () => {
    const chosen = made.slice(0, 2);
    for (const { id } of chosen) expect((await daemon.request("POST", `/v1/sandboxes/${id}/start`)).status).toBe(200);
    const [running, stopped] = chosen as [Item, Item];
    await daemon.request("POST", `/v1/sandboxes/${stopped.id}/kill`);
    expect(names((await page("state=running")).items)).toEqual([running.name]);
    expect(names((await page("state=stopped")).items)).toEqual([stopped.name]);
    expect(names((await page("state=running&state=stopped")).items)).toEqual(names(chosen));
    expect((await walk("state=created")).length).toBe(made.length - 2);
    expect((await page("state=failed")).items).toEqual([]);
    expect(names((await page(`state=running&name=${running.name}`)).items)).toEqual([running.name]);
    expect((await page(`state=stopped&name=${running.name}`)).items).toEqual([]);
    await daemon.request("DELETE", `/v1/sandboxes/${running.id}`);
  });
});
