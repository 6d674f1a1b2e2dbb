// The client and its React hooks.
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import {
  ConnectionError,
  createVestibuleClient,
  getPasskey,
  type PasskeyAssertionInput,
  type SecondFactorInput,
  type SessionState,
  StartPasskeyLoginDocument,
  type TypedDocumentNode,
  VestibuleError,
} from "vestibule";
import { prove } from "./proof";

/** The one client of the page. */
export const client = createVestibuleClient({
  url: import.meta.env.VITE_VESTIBULE_URL ?? "http://127.0.0.1:8000/graphql",
  prove,
});

const subscribe = (changed: () => void): (() => void) => client.onSessionChange(changed);

/** The session state, shared by all tabs. */
export function useSession(): SessionState {
  return useSyncExternalStore(subscribe, () => client.session);
}

/** The state of a query. */
export interface Answer<TData> {
  /** The last result, kept while the next one loads. */
  data: TData | null;
  /** Message of the last error. */
  error: string | null;
  /** True while a request is running. */
  loading: boolean;
  /** Repeats the query. */
  reload: () => void;
  /** Replaces the result, for example with that of a mutation. */
  replace: (change: (data: TData) => TData) => void;
}

/** Runs a query, and repeats it when its variables change. */
export function useQuery<TData, TVariables extends object>(
  document: TypedDocumentNode<TData, TVariables>,
  variables: TVariables,
): Answer<TData> {
  const [data, setData] = useState<TData | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [loading, setLoading] = useState(true);
  const [asked, setAsked] = useState(0);
  // Callers pass a new object each time.
  const [sent, setSent] = useState(variables);
  if (JSON.stringify(sent) !== JSON.stringify(variables)) setSent(variables);
  useEffect(() => {
    const control = new AbortController();
    setLoading(true);
    client.request(document, sent, { signal: control.signal }).then(
      (next) => {
        if (control.signal.aborted) return;
        setData(next);
        setError(null);
        setLoading(false);
      },
      (reason: unknown) => {
        if (control.signal.aborted) return;
        setError(explain(reason));
        setLoading(false);
      },
    );
    return () => control.abort();
  }, [document, sent, asked]);
  const reload = useCallback(() => setAsked((times) => times + 1), []);
  const replace = useCallback(
    (change: (data: TData) => TData) => setData((now) => (now === null ? null : change(now))),
    [],
  );
  return { data, error, loading, reload, replace };
}

/** Asks the browser for any passkey of the service. */
export async function askForPasskey(): Promise<PasskeyAssertionInput> {
  const { startPasskeyLogin } = await client.request(StartPasskeyLoginDocument);
  if (startPasskeyLogin === null) throw new Error("There are no options for passkeys.");
  return getPasskey(startPasskeyLogin.options);
}

/** A typed code as a proof: six digits are of the authenticator app, and recovery codes are longer. */
export function proofOf(code: string): SecondFactorInput {
  const compact = code.replaceAll(/\s/g, "");
  return /^\d{6}$/.test(compact) ? { totpCode: compact } : { recoveryCode: code };
}

/** Message for the user about a failed request. */
export function explain(error: unknown): string {
  // Of the browser: the user gave up, or there is no passkey for this site.
  if (error instanceof DOMException) return "The passkey could not be used. Try again, or use another way.";
  if (error instanceof ConnectionError) return "The service cannot be reached. Check your network connection.";
  if (!(error instanceof VestibuleError)) return "Something went wrong on this page.";
  switch (error.code) {
    case "RATE_LIMITED":
      return `Too many attempts. Try again in ${seconds(error.retryAfter)}.`;
    case "SERVICE_UNAVAILABLE":
      return `The service is busy. Try again in ${seconds(error.retryAfter)}.`;
    case "FORBIDDEN":
      return "You do not have permission to do this.";
    case "UNAUTHENTICATED":
      return "Your session has ended. Sign in again.";
    case "INTERNAL_SERVER_ERROR":
      return `Something went wrong in the service. Report this number: ${error.requestId ?? "unknown"}.`;
    default:
      return error.message;
  }
}

function seconds(count = 60): string {
  return count === 1 ? "1 second" : `${count} seconds`;
}
