import { ConnectionError, GapError, ProblemError, TimeoutError } from "../../client/browser.ts";

/** A failure in a person's words. */
export interface Told {
  title: string;
  detail: string;
  /** Of the daemon; null where it did not answer. */
  code: string | null;
  fields: readonly { pointer: string; detail: string }[];
}

export const tell = (error: unknown): Told => {
  if (error instanceof ProblemError) {
    const { title, detail } = error.problem;
    return { title, detail, code: error.code, fields: error.errors };
  }
  const detail = error instanceof Error ? error.message : String(error);
  if (error instanceof ConnectionError) return { title: "The daemon does not answer", detail, code: null, fields: [] };
  if (error instanceof TimeoutError) return { title: "The daemon took too long", detail, code: null, fields: [] };
  if (error instanceof GapError) return { title: "Something is held no more", detail, code: null, fields: [] };
  if (/dynamically imported module/i.test(detail))
    return { title: "The dashboard was updated", detail: "Reload the page to get its new version.", code: null, fields: [] };
  return { title: "Something went wrong", detail, code: null, fields: [] };
};
