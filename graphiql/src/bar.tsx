import { type FormEvent, useState, useSyncExternalStore } from "react";
import type { Session } from "./session";

/** The bar at the top: the signed-in user, or the sign-in form. */
export function Bar({ session }: { session: Session }) {
  const user = useSyncExternalStore(session.onChange, () => session.user);
  const [problem, setProblem] = useState<string | null>(null);
  const [said, setSaid] = useState("");
  const [busy, setBusy] = useState(false);

  async function attempt(work: () => Promise<string | null>): Promise<void> {
    setBusy(true);
    setSaid("");
    try {
      setProblem(await work());
    } catch {
      setProblem("The service cannot be reached.");
    }
    setBusy(false);
  }

  function signIn(event: FormEvent<HTMLFormElement>): void {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    void attempt(() => session.signIn(String(form.get("identifier")), String(form.get("password"))));
  }

  async function copyToken(): Promise<void> {
    await navigator.clipboard.writeText((await session.token()) ?? "");
    setSaid("Copied.");
  }

  return (
    <header className="bar">
      <strong>Vestibule</strong>
      {user === null ? (
        <form onSubmit={signIn}>
          <label>
            Email address or username
            <input name="identifier" autoComplete="username" autoCapitalize="none" required />
          </label>
          <label>
            Password
            <input name="password" type="password" autoComplete="current-password" required />
          </label>
          <button disabled={busy}>Sign in</button>
        </form>
      ) : (
        <>
          <span className="who">
            Signed in as {user.name} ({user.email})
          </span>
          <button type="button" onClick={() => void copyToken()}>
            Copy the access token
          </button>
          <button type="button" disabled={busy} onClick={() => void attempt(() => session.signOut())}>
            Sign out
          </button>
        </>
      )}
      <span role="status">{said}</span>
      {problem !== null && <span role="alert">{problem}</span>}
    </header>
  );
}
