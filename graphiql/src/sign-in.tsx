import { type SubmitEvent, useState } from "react";
import { getPasskey, hasPasskeys, type SecondFactorInput, type SignInChallenge, type VestibuleClient } from "vestibule";

/** Properties of the form. */
export interface SignInProps {
  client: VestibuleClient;
  busy: boolean;
  /** Runs an action, which returns an error message or null. */
  attempt: (work: () => Promise<string | null>) => Promise<void>;
}

/** The sign-in form: identifier and password, then the second factor of users who have one. */
export function SignIn({ client, busy, attempt }: SignInProps) {
  const [challenge, setChallenge] = useState<SignInChallenge | null>(null);

  function signIn(form: FormData): void {
    const input = { identifier: textOf(form, "identifier"), password: textOf(form, "password") };
    void attempt(async () => {
      const payload = await client.signIn(input);
      setChallenge(payload.challenge);
      return payload.challenge ? null : (payload.errors[0]?.message ?? null);
    });
  }

  function complete(challengeToken: string, ask: () => SecondFactorInput | Promise<SecondFactorInput>): void {
    void attempt(async () => {
      const { errors } = await client.completeSignIn({ challengeToken, proof: await ask() });
      // The challenge has expired, or had too many wrong codes.
      if (errors.some(({ code }) => code === "INVALID_TOKEN")) setChallenge(null);
      return errors[0]?.message ?? null;
    });
  }

  if (challenge === null) {
    return (
      <form key="password" onSubmit={submitted(signIn)}>
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
    );
  }
  const { token, methods, passkeyOptions } = challenge;
  return (
    <form key="code" onSubmit={submitted((form) => complete(token, () => proofOf(textOf(form, "code"))))}>
      <label>
        {methods.includes("TOTP") ? "Code of the authenticator app, or a recovery code" : "Recovery code"}
        <input name="code" autoComplete="one-time-code" autoCapitalize="none" spellCheck={false} autoFocus required />
      </label>
      <button disabled={busy}>Sign in</button>
      {passkeyOptions !== null && hasPasskeys() && (
        <button
          type="button"
          disabled={busy}
          onClick={() => complete(token, async () => ({ passkey: await getPasskey(passkeyOptions) }))}
        >
          Use a passkey
        </button>
      )}
      <button type="button" onClick={() => setChallenge(null)}>
        Cancel
      </button>
    </form>
  );
}

/** A handler that passes the fields of a submitted form. */
function submitted(send: (form: FormData) => void): (event: SubmitEvent<HTMLFormElement>) => void {
  return (event) => {
    event.preventDefault();
    send(new FormData(event.currentTarget));
  };
}

/** Six digits are a code of the authenticator app. Recovery codes are longer. */
function proofOf(code: string): SecondFactorInput {
  const compact = code.replaceAll(/\s/g, "");
  return /^\d{6}$/.test(compact) ? { totpCode: compact } : { recoveryCode: code };
}

function textOf(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === "string" ? value : "";
}
