import { useState } from "react";
import { ConnectionError, type VestibuleClient } from "vestibule";
import { useSession } from "./session";
import { SignIn } from "./sign-in";

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
        <SignIn client={client} busy={busy} attempt={attempt} />
      )}
      <span role="status">{said}</span>
      {problem !== null && <span role="alert">{problem}</span>}
    </header>
  );
}
