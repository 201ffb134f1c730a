import type { JournalPiece } from "../domain/journal.ts";
import { eventText, type OutputFormat } from "./output-stream.ts";

const gapText = (first: number): string => JSON.stringify({ gap: { first } });

/** How numbered entries look on the wire: as NDJSON, and as Server-Sent Events whose ids are the numbers. */
export const journalFormats = <Entry extends { id: number }>(
  textOf: (entry: Entry) => string,
  nameOf: (entry: Entry) => string,
): { ndjson: OutputFormat<JournalPiece<Entry>>; serverSentEvents: OutputFormat<JournalPiece<Entry>> } => ({
  ndjson: {
    mediaType: "application/x-ndjson",
    keepAlive: "\n",
    bodyOf: (piece) => (piece.kind === "gap" ? `${gapText(piece.first)}\n` : piece.entries.map((entry) => `${textOf(entry)}\n`).join("")),
  },
  serverSentEvents: {
    mediaType: "text/event-stream",
    keepAlive: ":\n\n",
    bodyOf: (piece) =>
      piece.kind === "gap"
        ? eventText("gap", gapText(piece.first))
        : piece.entries.map((entry) => eventText(nameOf(entry), textOf(entry), entry.id)).join(""),
  },
});
