import { useState } from "react";
import { hasPasskeys, type SignInChallenge } from "vestibule";
import { Button, Field, Form, text, useSending } from "../form";
import { Heading } from "../heading";
import { Link } from "../route";
import { askForPasskey, client } from "../vestibule";
import { SecondFactor } from "./second-factor";

/** The sign-in form. The app reacts to the change of session. */
export function SignIn() {
  const sending = useSending(["identifier", "password"]);
  const [challenge, setChallenge] = useState<SignInChallenge | null>(null);
  const onSend = (fields: FormData): void => {
    const input = { identifier: text(fields, "identifier"), password: text(fields, "password") };
    void sending.send(async () => {
      const payload = await client.signIn(input);
      setChallenge(payload.challenge);
      return { errors: payload.challenge ? [] : payload.errors };
    });
  };
  const withPasskey = (): void => {
    void sending.send(async () => client.signInWithPasskey(await askForPasskey()));
  };
  if (challenge !== null) {
    return (
      <SecondFactor
        challenge={challenge}
        onEnd={(errors) => {
          setChallenge(null);
          void sending.send(() => Promise.resolve({ errors }));
        }}
      />
    );
  }
  return (
    <>
      <Heading>Sign in</Heading>
      <Form label="Sign in" submit="Sign in" sending={sending} onSend={onSend}>
        <Field name="identifier" label="Email address or username" errors={sending.errors} autoComplete="username" />
        <Field
          name="password"
          label="Password"
          type="password"
          errors={sending.errors}
          autoComplete="current-password"
        />
      </Form>
      {hasPasskeys() && (
        <p>
          <Button quiet busy={sending.busy} onClick={withPasskey}>
            Sign in with a passkey
          </Button>
        </p>
      )}
      <p>
        <Link to="/forgot">Forgot your password?</Link>
      </p>
      <p>
        <Link to="/register">Create an account</Link>
      </p>
    </>
  );
}
