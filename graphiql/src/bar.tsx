import { type SubmitEvent, useState } from "react";
import { ConnectionError, type VestibuleClient } from "vestibule";
import { useSession } from "./session";

/** The bar at the top: the signed-in user, or the sign-in form. */
export function Bar({ client }: { client: VestibuleClient }) {
  const { isSignedIn, user } = useSession(client);
  const [problem, setProblem] = useState<string | null>(null);
  const [said, setSaid] = useState("");
  const [busy, setBusy] = useState(false);

  /** Runs an action, which returns an error message or null. */
  async function attempt(work: () => Promise<string | null>): Promise<void> {
    setBusy(true);
    setSaid("");
    try {
      setProblem(await work());
    } catch (error) {
      const isAway = error instanceof ConnectionError || !(error instanceof Error);
      setProblem(isAway ? "The service cannot be reached." : error.message);
    }
    setBusy(false);
  }

  function signIn(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const input = { identifier: textOf(form, "identifier"), password: textOf(form, "password") };
    void attempt(async () => {
      const { errors } = await client.signIn(input);
      return errors[0]?.message ?? null;
    });
  }

  function signOut(): void {
    void attempt(async () => {
      await client.signOut();
      return null;
    });
  }

  function copyToken(): void {
    void attempt(async () => {
      await navigator.clipboard.writeText((await client.accessToken()) ?? "");
      setSaid("Copied.");
      return null;
    });
  }

  return (
    <header className="bar">
      <strong>Vestibule</strong>
      {isSignedIn ? (
        <>
          <span className="who">{user === null ? "Signed in" : `Signed in as ${user.name} (${user.email})`}</span>
          <button type="button" onClick={copyToken}>
            Copy the access token
          </button>
          <button type="button" disabled={busy} onClick={signOut}>
            Sign out
          </button>
        </>
      ) : (
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
      )}
      <span role="status">{said}</span>
      {problem !== null && <span role="alert">{problem}</span>}
    </header>
  );
}

function textOf(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === "string" ? value : "";
}
