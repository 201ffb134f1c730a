import type { Event } from "./api.ts";
import { type Http, pathOf } from "./http.ts";
import { records, type StreamOptions } from "./streams.ts";

export interface EventOptions extends StreamOptions {
  /** The last event already seen; from the first that is kept by default. */
  after?: number | undefined;
  /** Without `after`: begins with the last so many of all, 0: with the next. Each time, also when the connection is lost before one has come. */
  tail?: number | undefined;
  /** Only those of this sandbox. */
  sandbox?: string | undefined;
  /** Types such as `sandbox.running`, or `sandbox.*`. */
  types?: readonly string[] | undefined;
}

/** What happens, in order, without end unless `follow` is false. */
export const readEvents = (http: Http, options: EventOptions): AsyncGenerator<Event, void> => {
  const query: Record<string, unknown> = { sandbox: options.sandbox, type: options.types?.join(","), tail: options.tail };
  const source = {
    what: "events",
    path: pathOf("readEvents", undefined),
    query,
    after: options.after,
    positionOf: ({ id }: Event) => {
      // What follows is told by that number.
      query["tail"] = undefined;
      return id;
    },
    before: (first: number | string) => Number(first) - 1,
    isLast: () => false,
    isOver: async () => false,
  };
  return records<Event>(http, source, options);
};
