import { useState } from "preact/hooks";
import { loggedOutBecause, logIn } from "../session.ts";
import { Button } from "./button.tsx";
import { ErrorBox } from "./states.tsx";

/** The door: the token stays in this tab, and goes nowhere but to the daemon that sent the page. */
export const Login = () => {
  const [secret, setSecret] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);

  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    await logIn(secret.trim()).catch(setError);
    setBusy(false);
  };

  return (
    <main class="login">
      <form class="card" onSubmit={submit}>
        <img src="/favicon.svg" alt="" width="44" height="44" />
        <h1>unshared</h1>
        <p>Sandboxes in Linux namespaces of their own.</p>
        {loggedOutBecause.value && <p class="note">{loggedOutBecause.value}</p>}
        <label>
          Token
          <input
            name="token"
            type="password"
            autocomplete="off"
            required
            value={secret}
            onInput={(event) => setSecret(event.currentTarget.value)}
          />
        </label>
        {error !== null && <ErrorBox error={error} />}
        <Button type="submit" kind="primary" disabled={isBusy || secret.trim() === ""}>
          {isBusy ? "Asking the daemon …" : "Log in"}
        </Button>
        <p class="hint">
          The first token is on the host, in <code>/var/lib/unshared/admin.token</code>; <code>unsharectl token create</code> makes more. It
          stays in this tab and is forgotten with it.
        </p>
      </form>
    </main>
  );
};
