import { useState } from "preact/hooks";
import type { api } from "../../../../client/browser.ts";
import { Button } from "../../components/button.tsx";
import { Icon } from "../../components/icon.tsx";
import { Card } from "../../components/page.tsx";
import { Empty, Loaded } from "../../components/states.tsx";
import { Table } from "../../components/table.tsx";
import { formatBytes, formatNumber } from "../../format.ts";
import { useResource } from "../../resource.ts";
import { place, setQuery } from "../../router.ts";

type Entry = api.Operations["getRootManifest"]["reply"]["files"][number];

const shownAtFirst = 100;

const reasons = {
  "asked-for": "asked for",
  "needed-by": "needed by",
  "interpreter-of": "interpreter of",
  "link-target": "link target of",
  generated: "generated for",
  package: "of the package",
} as const;

const whyOf = ({ why }: Entry): string => why.map(({ kind, of }) => (of === null ? reasons[kind] : `${reasons[kind]} ${of}`)).join("; ");

const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

interface Shown {
  path: string;
  /** Null for a directory that is there for what is in it. */
  entry: Entry | null;
}

/** What is in a directory, those on the way to a file included, by name. */
const listed = (files: readonly Entry[], directory: string): Shown[] => {
  const prefix = directory === "/" ? "/" : `${directory}/`;
  const found = new Map<string, Entry | null>();
  for (const entry of files) {
    if (!entry.path.startsWith(prefix) || entry.path === prefix) continue;
    const [name = "", ...deeper] = entry.path.slice(prefix.length).split("/");
    const path = prefix + name;
    if (deeper.length === 0) found.set(path, entry);
    else if (!found.has(path)) found.set(path, null);
  }
  return [...found].map(([path, entry]) => ({ path, entry })).toSorted((left, right) => left.path.localeCompare(right.path, "en"));
};

const isMatch = (entry: Entry, words: readonly string[]): boolean => {
  const text = `${entry.path} ${whyOf(entry)}`.toLowerCase();
  return words.every((word) => text.includes(word));
};

/** What a root has: directory by directory, or what a search finds. */
export const Manifest = ({ root }: { root: string }) => {
  const [shown, setShown] = useState(shownAtFirst);
  const manifest = useResource((client, signal) => client.roots.manifest(root, { signal }), [root]);
  const directory = place.value.query.get("dir") ?? "/";
  const query = place.value.query.get("q") ?? "";
  const enter = (dir: string): void => {
    setShown(shownAtFirst);
    setQuery({ dir, q: "" });
  };
  return (
    <Card title="Manifest">
      <Loaded resource={manifest} lines={8}>
        {({ files, totals }) => {
          const words = query.toLowerCase().split(/\s+/).filter(Boolean);
          const found: Shown[] =
            words.length > 0
              ? files.filter((entry) => isMatch(entry, words)).map((entry) => ({ path: entry.path, entry }))
              : listed(files, directory);
          return (
            <div class="stack">
              <p class="muted">
                {formatNumber(totals.files)} files, {formatNumber(totals.links)} links and {formatNumber(totals.directories)} directories,{" "}
                {formatBytes(totals.sizeBytes)} in all.
              </p>
              <search class="filters">
                <input
                  type="search"
                  aria-label="Search the manifest"
                  placeholder="Path or reason …"
                  value={query}
                  onInput={(event) => setQuery({ q: event.currentTarget.value })}
                />
              </search>
              {words.length === 0 && <Crumbs directory={directory} onEnter={enter} />}
              {found.length === 0 ? (
                <Empty icon="folder" title={words.length > 0 ? "No file fits" : "Nothing is in this directory"} />
              ) : (
                <Table
                  label="Files of the root"
                  items={found.slice(0, shown)}
                  keyOf={({ path }) => path}
                  columns={[
                    { title: "Path", cell: (shown) => <Path shown={shown} isWhole={words.length > 0} onEnter={enter} /> },
                    { title: "Mode", cell: ({ entry }) => entry && <code>{entry.mode}</code> },
                    { title: "Size", cell: ({ entry }) => (entry?.type === "file" ? formatBytes(entry.sizeBytes) : ""), numeric: true },
                    { title: "Why", cell: ({ entry }) => <span class="long">{entry && whyOf(entry)}</span> },
                  ]}
                />
              )}
              {found.length > shown && (
                <div class="more">
                  <Button onClick={() => setShown(shown + 500)}>Show more of {formatNumber(found.length)}</Button>
                </div>
              )}
            </div>
          );
        }}
      </Loaded>
    </Card>
  );
};

const Crumbs = ({ directory, onEnter }: { directory: string; onEnter: (path: string) => void }) => {
  const parts = directory.split("/").filter(Boolean);
  const places = ["/", ...parts.map((_, index) => `/${parts.slice(0, index + 1).join("/")}`)];
  return (
    <nav class="crumbs" aria-label="Directory">
      {places.map((path) => (
        <button key={path} type="button" aria-current={path === directory ? "location" : undefined} onClick={() => onEnter(path)}>
          {path === "/" ? "/" : nameOf(path)}
        </button>
      ))}
    </nav>
  );
};

const Path = ({ shown, isWhole, onEnter }: { shown: Shown; isWhole: boolean; onEnter: (path: string) => void }) => {
  const { path, entry } = shown;
  const text = isWhole ? path : nameOf(path);
  if (entry === null || entry.type === "directory")
    return (
      <button type="button" class="entry" onClick={() => onEnter(path)}>
        <Icon name="folder" size={16} />
        {text}
      </button>
    );
  return (
    <span class="entry">
      <Icon name={entry.type === "link" ? "link" : "file"} size={16} />
      <span class="long">
        {text}
        {entry.target !== null && <span class="muted"> → {entry.target}</span>}
      </span>
    </span>
  );
};
