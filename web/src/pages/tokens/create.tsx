import { useState } from "preact/hooks";
import type { api } from "../../../../client/browser.ts";
import { Button } from "../../components/button.tsx";
import { Copyable } from "../../components/copy.tsx";
import { Dialog } from "../../components/dialog.tsx";
import { ErrorBox } from "../../components/states.tsx";
import { noticeFailure, session } from "../../session.ts";

type Scope = api.Token["scopes"][number];

const scopes: readonly { name: Scope; about: string }[] = [
  { name: "read", about: "looks" },
  { name: "run", about: "also makes and uses sandboxes and runs" },
  { name: "admin", about: "also changes roots and tokens, and sees all" },
];
const day = 86_400;
const lifetimes = [
  { title: "an hour", seconds: 3_600 },
  { title: "a day", seconds: day },
  { title: "30 days", seconds: 30 * day },
  { title: "a year", seconds: 365 * day },
  { title: "no end", seconds: undefined },
];

/** `a=b, c=d` as labels; a word without a sign of equality is a label without a value. */
const labelsOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split(/[\s,]+/)
      .filter(Boolean)
      .map((pair) => [pair.split("=", 1)[0] ?? "", pair.includes("=") ? pair.slice(pair.indexOf("=") + 1) : ""]),
  );

const numberOf = (text: string): number | undefined => (text === "" ? undefined : Number(text));

interface CreateProps {
  onClose: () => void;
  onMade: () => void;
}

/** Asks what the token may do, and shows its secret, once. */
export const CreateToken = ({ onClose, onMade }: CreateProps) => {
  const [name, setName] = useState("");
  const [scope, setScope] = useState<Scope>("run");
  const [sees, setSees] = useState<"own" | "all" | "labels">("own");
  const [labels, setLabels] = useState("");
  const [lifetime, setLifetime] = useState(2);
  const [quota, setQuota] = useState({ sandboxes: "", running: "", runs: "" });
  const [error, setError] = useState<unknown>(null);
  const [secret, setSecret] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);

  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    const quotas = Object.fromEntries(Object.entries(quota).map(([key, text]) => [key, numberOf(text)]));
    const selector = { own: undefined, all: {}, labels: labelsOf(labels) }[sees];
    const definition = { name, scopes: [scope], selector, quotas, ttlSeconds: lifetimes[lifetime]?.seconds };
    try {
      setSecret((await session.value.tokens.create(definition)).token);
      onMade();
    } catch (reason) {
      noticeFailure(reason);
      setError(reason);
    }
    setBusy(false);
  };

  if (secret !== null)
    return (
      <Dialog title={`The token ${name}`} onClose={onClose}>
        <div class="stack">
          <p>
            This is its secret. It is shown <strong>this once</strong>: whoever loses it makes another.
          </p>
          <Copyable text={secret} label="Copy the secret" />
        </div>
        <div class="dialog-foot">
          <Button kind="primary" onClick={onClose}>
            I have it
          </Button>
        </div>
      </Dialog>
    );

  return (
    <Dialog title="New token" onClose={onClose}>
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
          <legend>Scope</legend>
          {scopes.map((each) => (
            <label class="choice" key={each.name}>
              <input type="radio" name="scope" checked={scope === each.name} onChange={() => setScope(each.name)} />
              <span>
                <strong>{each.name}</strong> <span class="muted">{each.about}</span>
              </span>
            </label>
          ))}
        </fieldset>
        <div class="pair">
          <label>
            Sees sandboxes and runs
            <select value={sees} onChange={(event) => setSees(event.currentTarget.value as typeof sees)}>
              <option value="own">that it made</option>
              <option value="labels">with labels</option>
              <option value="all">all</option>
            </select>
          </label>
          <label>
            Valid for
            <select value={lifetime} onChange={(event) => setLifetime(Number(event.currentTarget.value))}>
              {lifetimes.map(({ title }, index) => (
                <option key={title} value={index}>
                  {title}
                </option>
              ))}
            </select>
          </label>
        </div>
        {sees === "labels" && (
          <label>
            Labels
            <input required placeholder="team=x, stage=test" value={labels} onInput={(event) => setLabels(event.currentTarget.value)} />
          </label>
        )}
        <fieldset>
          <legend>At most, at a time</legend>
          <div class="triple">
            {(["sandboxes", "running", "runs"] as const).map((key) => (
              <label key={key}>
                {key}
                <input
                  type="number"
                  min="0"
                  max="1000000"
                  placeholder="no limit"
                  value={quota[key]}
                  onInput={(event) => setQuota({ ...quota, [key]: event.currentTarget.value })}
                />
              </label>
            ))}
          </div>
        </fieldset>
        {error !== null && <ErrorBox error={error} />}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" disabled={isBusy}>
            Make the token
          </Button>
        </div>
      </form>
    </Dialog>
  );
};
