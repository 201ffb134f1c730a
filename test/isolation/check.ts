import { afterAll, beforeAll, describe, it } from "vitest";
import { slowness } from "../fixtures/slowness.ts";
import type { Mutants } from "./mutants.ts";
import { Stage } from "./stage.ts";

/** One check of the battery. */
export interface Check {
  /** As in the battery. */
  number: number;
  title: string;
  /** Layers without which it is red; the first of them is tried on every run, all on the full one. */
  red: readonly [Mutants, ...Mutants[]];
  /** It takes seconds: the full run tries it with those mutants only that it names. */
  slow?: true;
  /** Gives a figure for the report, or nothing. @throws where something is not isolated; Unsupported where the kernel has not got it */
  run(stage: Stage): Promise<string | undefined>;
}

declare module "vitest" {
  interface TaskMeta {
    /** What a check gives for the report, or why it was skipped. */
    figure?: string | undefined;
  }
}

/** A kernel that lacks what a check is about: that is no pass. */
export class Unsupported extends Error {}

/** The tests of one section: each check by its number, against sandboxes as they are. */
export const section = (name: string, idBase: number, checks: readonly Check[]): void => {
  describe(name, () => {
    let stage: Stage;
    beforeAll(async () => {
      stage = await Stage.open(name.replaceAll(" ", "-"), idBase);
    });
    afterAll(() => stage?.[Symbol.asyncDispose]());
    for (const check of checks) {
      const patience = check.slow ? { timeout: 120_000 * slowness } : {};
      it(`${check.number} ${check.title}`, patience, async (context) => {
        try {
          context.task.meta.figure = await check.run(stage);
        } catch (error) {
          if (!(error instanceof Unsupported)) throw error;
          context.task.meta.figure = error.message;
          context.skip(error.message);
        }
      });
    }
  });
};
