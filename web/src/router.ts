import { computed, signal } from "@preact/signals";

/** The path is the fragment, so that every address leads to the one document that the daemon has. */
const hash = signal(globalThis.location.hash);
globalThis.addEventListener("hashchange", () => {
  hash.value = globalThis.location.hash;
});

export interface Place {
  /** Without its query: `/sandboxes/web-1`. */
  path: string;
  /** Decoded, between the slashes. */
  segments: readonly string[];
  query: URLSearchParams;
}

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

export const placeOf = (fragment: string): Place => {
  const [path = "", query = ""] = fragment.replace(/^#/, "").split("?", 2);
  const segments = path.split("/").filter((part) => part !== "");
  return { path: `/${segments.join("/")}`, segments: segments.map(decode), query: new URLSearchParams(query) };
};

export const place = computed(() => placeOf(hash.value));

/** An address of the dashboard, for a link. Empty texts of the query are left out. */
export const href = (segments: readonly string[], query: Record<string, string | undefined> = {}): string => {
  const pairs = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== "");
  const text = new URLSearchParams(pairs).toString();
  return `#/${segments.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`;
};

export const go = (target: string): void => {
  globalThis.location.hash = target;
};

/** Changes the query of the present address without a step in the history. */
export const setQuery = (query: Record<string, string | undefined>): void => {
  const target = href(place.value.segments, { ...Object.fromEntries(place.value.query), ...query });
  globalThis.history.replaceState(null, "", target);
  hash.value = target;
};
