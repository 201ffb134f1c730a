import { useState } from "preact/hooks";
import { Button } from "../../components/button.tsx";
import { Dialog } from "../../components/dialog.tsx";
import { ErrorBox } from "../../components/states.tsx";
import { noticeFailure, session } from "../../session.ts";
import { rememberName } from "./provisioning.tsx";

const linesOf = (text: string): string[] =>
  text
    .split(/[\n,]+/)
    .map((line) => line.trim())
    .filter(Boolean);

const orNone = <T,>(list: T[]): T[] | undefined => (list.length === 0 ? undefined : list);

interface CreateProps {
  onClose: () => void;
  onBegun: () => void;
}

/** Asks what a root is made from, and begins. */
export const CreateRoot = ({ onClose, onBegun }: CreateProps) => {
  const [name, setName] = useState("");
  const [kind, setKind] = useState<"copy" | "debootstrap">("copy");
  const [binaries, setBinaries] = useState("/bin/bash\n/bin/ls\n/bin/cat");
  const [files, setFiles] = useState("");
  const [suite, setSuite] = useState("bookworm");
  const [variant, setVariant] = useState<"minbase" | "buildd" | "">("minbase");
  const [include, setInclude] = useState("");
  const [mirror, setMirror] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);

  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    const source =
      kind === "copy"
        ? { kind, binaries: orNone(linesOf(binaries)), files: orNone(linesOf(files)) }
        : { kind, suite: suite || undefined, variant, include: orNone(linesOf(include)), mirror: mirror || undefined };
    try {
      const operation = await session.value.roots.create({ name, source });
      rememberName(operation.id, name);
      onBegun();
    } catch (reason) {
      noticeFailure(reason);
      setError(reason);
      setBusy(false);
    }
  };

  return (
    <Dialog title="New root" onClose={onClose}>
      <form class="stack" onSubmit={submit}>
        <label>
          Name
          <input
            name="name"
            required
            pattern="[a-z0-9][a-z0-9\-]{0,62}"
            title="Lowercase letters, digits and dashes"
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <fieldset>
          <legend>Made from</legend>
          <label class="choice">
            <input type="radio" name="kind" checked={kind === "copy"} onChange={() => setKind("copy")} />
            <span>
              <strong>copy</strong> <span class="muted">programs of this host, with all that they need</span>
            </span>
          </label>
          <label class="choice">
            <input type="radio" name="kind" checked={kind === "debootstrap"} onChange={() => setKind("debootstrap")} />
            <span>
              <strong>debootstrap</strong> <span class="muted">a Debian, from its packages</span>
            </span>
          </label>
        </fieldset>
        {kind === "copy" ? (
          <>
            <label>
              Programs, one a line
              <textarea rows={5} value={binaries} onInput={(event) => setBinaries(event.currentTarget.value)} />
            </label>
            <label>
              Other files, one a line
              <textarea rows={2} value={files} onInput={(event) => setFiles(event.currentTarget.value)} />
            </label>
          </>
        ) : (
          <>
            <div class="pair">
              <label>
                Release
                <input value={suite} onInput={(event) => setSuite(event.currentTarget.value)} />
              </label>
              <label>
                Variant
                <select value={variant} onChange={(event) => setVariant(event.currentTarget.value as typeof variant)}>
                  <option value="minbase">minbase</option>
                  <option value="buildd">buildd</option>
                  <option value="">whole base system</option>
                </select>
              </label>
            </div>
            <label>
              Further packages
              <input placeholder="curl, python3" value={include} onInput={(event) => setInclude(event.currentTarget.value)} />
            </label>
            <label>
              Archive
              <input type="url" placeholder="the host's own" value={mirror} onInput={(event) => setMirror(event.currentTarget.value)} />
            </label>
          </>
        )}
        {error !== null && <ErrorBox error={error} />}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" disabled={isBusy}>
            Provision it
          </Button>
        </div>
      </form>
    </Dialog>
  );
};
