import { Field, Form, text, useSending } from "../form";
import { Heading } from "../heading";
import { Link } from "../route";
import { client } from "../vestibule";

/** The sign-in form. The app reacts to the change of session. */
export function SignIn() {
  const sending = useSending(["identifier", "password"]);
  const onSend = (fields: FormData): void => {
    const input = { identifier: text(fields, "identifier"), password: text(fields, "password") };
    void sending.send(() => client.signIn(input));
  };
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
      <p>
        <Link to="/forgot">Forgot your password?</Link>
      </p>
    </>
  );
}
