import { computed, signal } from "@preact/signals";
import { type Client, connect, ProblemError } from "../../client/browser.ts";

/** Of this tab alone, and gone with it. */
const storageKey = "unshared.token";

const token = signal<string | null>(sessionStorage.getItem(storageKey));

/** Why the person has to log in again; null where that is not the reason. */
export const loggedOutBecause = signal<string | null>(null);

export const isLoggedIn = computed(() => token.value !== null);

/** A few quick repeats, so that a person sees soon what is wrong; streams come back for as long as it takes. */
const retries = { attempts: 3, longestSeconds: 2, reconnectSeconds: Number.POSITIVE_INFINITY };

/** The client of the whole page. Without a token all it hears is that it needs one. */
export const session = computed<Client>(() => connect({ token: token.value ?? undefined, retries }));

/** Notices by itself when its connection breaks: whoever follows with it tells the person, and comes back. */
export const watcher = computed<Client>(() => connect({ token: token.value ?? undefined, retries: { attempts: 1, reconnectSeconds: 0 } }));

/** Keeps the token if the daemon takes it. @throws ProblemError `unauthorized`, ConnectionError */
export const logIn = async (secret: string): Promise<void> => {
  await connect({ token: secret, retries }).info();
  sessionStorage.setItem(storageKey, secret);
  loggedOutBecause.value = null;
  token.value = secret;
};

export const logOut = (why: string | null = null): void => {
  sessionStorage.removeItem(storageKey);
  loggedOutBecause.value = why;
  token.value = null;
};

/** Every failure of a call passes here: a token that is not valid any more ends the session. */
export const noticeFailure = (error: unknown): void => {
  if (error instanceof ProblemError && error.status === 401 && isLoggedIn.value) logOut("The token is not valid any more.");
};
