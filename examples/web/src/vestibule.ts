// The client, and what React needs to use it.
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

/** Who is signed in, whichever tab that happened in. */
export function useSession(): SessionState {
  return useSyncExternalStore(subscribe, () => client.session);
}

/** What a query answered. */
export interface Answer<TData> {
  /** The answer that came last; it stays while the next is under way. */
  data: TData | null;
  /** Why none came. */
  error: string | null;
  /** Whether one is under way. */
  loading: boolean;
  /** Asks again. */
  reload: () => void;
  /** Puts something newer in its place, such as what a mutation gave back. */
  replace: (change: (data: TData) => TData) => void;
}

/** Asks a query, and again whenever its variables change. */
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

/** What to tell people about a request that failed. */
export function explain(error: unknown): string {
  if (error instanceof ConnectionError) return "The service cannot be reached. Is there a network?";
  if (!(error instanceof VestibuleError)) return "Something went wrong on this page.";
  if (error.code === "RATE_LIMITED") return `That was too often. Try again in ${error.retryAfter ?? 60} seconds.`;
  if (error.code === "FORBIDDEN") return "Only staff may do that.";
  if (error.code === "UNAUTHENTICATED") return "You are signed out. Sign in again.";
  return error.message;
}
