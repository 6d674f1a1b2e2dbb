import { RequestResetDocument } from "vestibule";
import { Field, Form, text, useSending } from "../form";
import { Link } from "../route";
import { client } from "../vestibule";

/** Asking for the mail with the link to a new password. */
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
      <h1>Forgot the password</h1>
      <p>You get a mail with a link to set a new one.</p>
      <Form label="Forgot the password" submit="Send the mail" sending={sending} onSend={onSend}>
        <Field name="email" label="E-mail address" inputMode="email" errors={sending.errors} autoComplete="email" />
      </Form>
      <p>
        <Link to="/">Back to signing in</Link>
      </p>
    </>
  );
}
