import { useEffect, useRef, useState } from "preact/hooks";
import type { api } from "../../../../client/browser.ts";
import { Button } from "../../components/button.tsx";
import { Empty, ErrorBox } from "../../components/states.tsx";
import { noticeFailure, session } from "../../session.ts";

/** Kept by the page; the daemon has more. */
const mostLines = 4_000;
const firstLines = 1_000;

interface Line {
  key: string;
  stream: "stdout" | "stderr" | "exit";
  process: string;
  /** Without its end of line. */
  text: string;
  /** More of it may come: what a process writes comes in pieces. */
  isOpen: boolean;
}

/** The lines with another piece of output. */
const withPiece = (lines: Line[], { key, process, stream, text }: Omit<Line, "isOpen">): Line[] => {
  const parts = text.split("\n");
  parts.forEach((part, index) => {
    const last = lines.at(-1);
    const isOpen = index === parts.length - 1;
    if (index === 0 && last?.isOpen === true && last.process === process && last.stream === stream)
      lines[lines.length - 1] = { ...last, text: last.text + part, isOpen };
    else if (!isOpen || part !== "") lines.push({ key: `${key}.${index}`, process, stream, text: part, isOpen });
  });
  return lines;
};

/** Colours and other controls of a terminal have no place in a text (ECMA-48, section 5.4). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const controls = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])|[\u0000-\u0008\u000b-\u001f\u007f]/g;

/** What all its processes write, as they do. */
export const LogsTab = ({ sandbox }: { sandbox: api.Sandbox }) => {
  const [lines, setLines] = useState<readonly Line[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [isFollowing, setFollowing] = useState(true);
  const [search, setSearch] = useState("");
  const box = useRef<HTMLDivElement>(null);
  const { id } = sandbox;
  const isAlive = ["starting", "running", "paused", "stopping"].includes(sandbox.status.state);

  useEffect(() => {
    const left = new AbortController();
    let waiting: Omit<Line, "isOpen">[] = [];
    // Written at most so often as a person can see.
    const timer = setInterval(() => {
      if (waiting.length === 0) return;
      const some = waiting;
      waiting = [];
      setLines((before) => some.reduce(withPiece, [...(before ?? [])]).slice(-mostLines));
    }, 100);
    const read = async (): Promise<void> => {
      const target = await session.value.sandboxes.get(id, { signal: left.signal });
      setLines([]);
      for await (const entry of target.logs({ tail: firstLines, follow: isAlive, gaps: "skip", signal: left.signal })) {
        const { exit, process, stream, text } = entry;
        const end = exit && `ended: ${exit.signal ?? `exit ${exit.code}`}`;
        waiting.push({
          key: entry.id,
          process,
          stream: end ? "exit" : (stream ?? "stdout"),
          text: end ? `${end}\n` : text.replaceAll(controls, ""),
        });
      }
    };
    read().catch((reason: unknown) => {
      if (left.signal.aborted) return;
      noticeFailure(reason);
      setError(reason);
    });
    return () => {
      clearInterval(timer);
      left.abort();
    };
  }, [id, isAlive]);

  useEffect(() => {
    if (isFollowing && box.current !== null) box.current.scrollTop = box.current.scrollHeight;
  }, [lines, isFollowing]);

  const shown = (lines ?? []).filter(({ text }) => search === "" || text.toLowerCase().includes(search.toLowerCase()));
  return (
    <div class="stack">
      <div class="filters">
        <input
          type="search"
          aria-label="Search the logs"
          placeholder="Search"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
        <Button icon={isFollowing ? "pause" : "play"} onClick={() => setFollowing(!isFollowing)}>
          {isFollowing ? "Stop scrolling" : "Scroll along"}
        </Button>
      </div>
      {error !== null && <ErrorBox error={error} />}
      {lines !== null && lines.length === 0 && error === null && (
        <Empty icon="docs" title="Nothing was written yet">
          What its processes write to stdout and stderr comes here as they do.
        </Empty>
      )}
      {shown.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
        <div class="log" ref={box} tabIndex={0} role="log" aria-label="Output">
          {shown.map(({ key, stream, process, text }) => (
            <div key={key} class={stream}>
              <span class="log-from">{process === "main" ? "main" : process.slice(-6)}</span>
              <span class="log-text">{text}</span>
            </div>
          ))}
        </div>
      )}
    </div>
  );
};
