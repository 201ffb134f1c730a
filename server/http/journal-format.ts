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
    write: (piece, body) => {
      if (piece.kind === "gap") body.text(`${gapText(piece.first)}\n`);
      else for (const entry of piece.entries) body.text(`${textOf(entry)}\n`);
    },
  },
  serverSentEvents: {
    mediaType: "text/event-stream",
    keepAlive: ":\n\n",
    write: (piece, body) => {
      if (piece.kind === "gap") body.text(eventText("gap", gapText(piece.first)));
      else for (const entry of piece.entries) body.text(eventText(nameOf(entry), textOf(entry), entry.id));
    },
  },
});
