import { RequestResetDocument } from "vestibule";
import { Field, Form, text, useSending } from "../form";
import { Heading } from "../heading";
import { Link } from "../route";
import { client } from "../vestibule";

/** Requests the email with the link to reset the password. */
export function Forgot() {
  const sending = useSending(["email"]);
  const onSend = (fields: FormData): void => {
    void sending.send(async () => {
      const { requestReset } = await client.request(RequestResetDocument, { input: { email: text(fields, "email") } });
      return { errors: requestReset?.errors ?? [], note: requestReset?.message ?? "" };
    });
  };
  return (
    <>
      <Heading>Forgot your password?</Heading>
      <p>We’ll send you an email with a link to set a new one.</p>
      <Form label="Forgot your password?" submit="Send the email" sending={sending} onSend={onSend}>
        <Field name="email" label="Email address" inputMode="email" errors={sending.errors} autoComplete="email" />
      </Form>
      <p>
        <Link to="/">Back to sign-in</Link>
      </p>
    </>
  );
}
