import { useEffect, useRef, useState } from "preact/hooks";
import { ProblemError, type Process, type TerminalEnd } from "../../../client/browser.ts";
import { Button } from "../components/button.tsx";
import { ErrorBox } from "../components/states.tsx";
import { pause } from "../pause.ts";
import { noticeFailure } from "../session.ts";
import type { Viewer } from "./xterm.ts";

type Status = "opening" | "open" | "lost" | "ended";

const endText = (end: TerminalEnd): string => {
  if (end.exit === null) return "The sandbox ended";
  return end.exit.signal === null ? `Exited with ${end.exit.code}` : `Ended by ${end.exit.signal}`;
};

/** As long as the process may live: it outlives the daemon, so a viewer that was cut off comes back to it. */
const follow = async (
  process: Process,
  viewer: Viewer,
  tell: (status: Status) => void,
  signal: AbortSignal,
): Promise<TerminalEnd | null> => {
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      await using terminal = await process.terminal({ signal });
      tell("open");
      failures = 0;
      viewer.focus();
      await viewer.show(terminal);
      const end = await terminal.ended;
      if (end.exit !== null || end.closeCode === 1000) return end;
    } catch (error) {
      if (signal.aborted) return null;
      if (error instanceof ProblemError && !error.retryable) throw error;
    }
    tell("lost");
    await pause(Math.min(3_000, 250 * 2 ** failures), signal);
  }
  return null;
};

/** The terminal of a process, as one of its viewers. */
export const TerminalView = ({ process, onClose }: { process: Process; onClose: () => void }) => {
  const element = useRef<HTMLDivElement>(null);
  const [status, setStatus] = useState<Status>("opening");
  const [end, setEnd] = useState<TerminalEnd | null>(null);
  const [error, setError] = useState<unknown>(null);

  useEffect(() => {
    const left = new AbortController();
    let viewer: Viewer | undefined;
    const run = async (): Promise<void> => {
      const { createViewer } = await import("./xterm.ts");
      if (left.signal.aborted || element.current === null) return;
      viewer = createViewer(element.current);
      setEnd(await follow(process, viewer, setStatus, left.signal));
      setStatus("ended");
    };
    run().catch((reason: unknown) => {
      if (left.signal.aborted) return;
      noticeFailure(reason);
      setError(reason);
    });
    return () => {
      left.abort();
      viewer?.[Symbol.dispose]();
    };
  }, [process]);

  const text = { opening: "Opening …", open: "Connected", lost: "The connection broke; coming back …", ended: end && endText(end) }[status];
  return (
    <div class="stack">
      {error !== null && <ErrorBox error={error} />}
      <div class="terminal-bar">
        <span class={`pulse ${status === "open" ? "live" : status === "lost" ? "offline" : ""}`} role="status">
          {text}
        </span>
        <Button small onClick={onClose}>
          {status === "ended" ? "Close" : "Leave it running"}
        </Button>
      </div>
      <div class="screen" ref={element} />
    </div>
  );
};
