import { PageHead } from "../components/page.tsx";
import type { PageProps } from "../routes.ts";
import { RunForm } from "./runs/form.tsx";
import { RunHistory } from "./runs/history.tsx";
import { RunOutcome } from "./runs/outcome.tsx";

/** One command in a sandbox of its own: an editor and a button, what came of it, and what ran before. */
export const RunsPage = ({ rest }: PageProps) => (
  <>
    <PageHead title="Runs" about="One script in a sandbox that is made for it, and gone after it." />
    <div class="stack">
      <div class="halves">
        <RunForm />
        <RunOutcome key={rest[0] ?? ""} id={rest[0] ?? null} />
      </div>
      <RunHistory current={rest[0] ?? null} />
    </div>
  </>
);
