// The client and its React hooks.
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import {
  ConnectionError,
  createVestibuleClient,
  type SessionState,
  type TypedDocumentNode,
  type VariablesOf,
  VestibuleError,
} from "vestibule";

/** The one client of the page. */
export const client = createVestibuleClient({
  url: import.meta.env["VITE_VESTIBULE_URL"] ?? "http://127.0.0.1:8000/graphql",
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
  const key = JSON.stringify(variables);
  useEffect(() => {
    const control = new AbortController();
    const rest = [JSON.parse(key), { signal: control.signal }] as unknown as VariablesOf<TVariables>;
    setLoading(true);
    client.request(document, ...rest).then(
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
  }, [document, key, asked]);
  const reload = useCallback(() => setAsked((times) => times + 1), []);
  const replace = useCallback(
    (change: (data: TData) => TData) => setData((now) => (now === null ? null : change(now))),
    [],
  );
  return { data, error, loading, reload, replace };
}

/** Message for the user about a failed request. */
export function explain(error: unknown): string {
  if (error instanceof ConnectionError) return "The service cannot be reached. Check your network connection.";
  if (!(error instanceof VestibuleError)) return "Something went wrong on this page.";
  if (error.code === "RATE_LIMITED") return `Too many attempts. Try again in ${error.retryAfter ?? 60} seconds.`;
  if (error.code === "FORBIDDEN") return "You do not have permission to do this.";
  if (error.code === "UNAUTHENTICATED") return "Your session has ended. Sign in again.";
  return error.message;
}
