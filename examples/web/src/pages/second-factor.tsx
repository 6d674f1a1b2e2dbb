import { getPasskey, hasPasskeys, type SecondFactorInput, type SignInChallenge } from "vestibule";
import { Button, Field, Form, type Mendable, text, useSending } from "../form";
import { Heading } from "../heading";
import { client, proofOf } from "../vestibule";

/** Properties of `SecondFactor`. */
export interface SecondFactorProps {
  challenge: SignInChallenge;
  onSignedIn?: () => void;
  /** Called if the user has to start again, with the errors. */
  onEnd: (errors: readonly Mendable[]) => void;
}

/** The question for the second factor, by a code or a passkey. */
export function SecondFactor(props: SecondFactorProps) {
  const { token, methods, passkeyOptions } = props.challenge;
  const sending = useSending(["code"]);
  const complete = (ask: () => SecondFactorInput | Promise<SecondFactorInput>): void => {
    void sending.send(async () => {
      const { errors } = await client.completeSignIn({ challengeToken: token, proof: await ask() });
      if (errors.length === 0) props.onSignedIn?.();
      // The challenge has expired, or had too many wrong codes.
      if (errors.some(({ code }) => code === "INVALID_TOKEN")) props.onEnd(errors);
      return { errors: errors.map((error) => ({ ...error, field: error.field === null ? null : "code" })) };
    });
  };
  return (
    <>
      <Heading>Enter your code</Heading>
      <Form
        label="Second factor"
        submit="Sign in"
        sending={sending}
        onSend={(fields) => complete(() => proofOf(text(fields, "code")))}
      >
        <Field
          name="code"
          label={methods.includes("TOTP") ? "Code of your authenticator app, or a recovery code" : "Recovery code"}
          errors={sending.errors}
          autoComplete="one-time-code"
        />
      </Form>
      <p className="buttons">
        {passkeyOptions !== null && hasPasskeys() && (
          <Button
            quiet
            busy={sending.busy}
            onClick={() => complete(async () => ({ passkey: await getPasskey(passkeyOptions) }))}
          >
            Use a passkey
          </Button>
        )}
        <Button quiet busy={sending.busy} onClick={() => props.onEnd([])}>
          Start again
        </Button>
      </p>
    </>
  );
}
