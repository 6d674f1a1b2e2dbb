import { useEffect, useLayoutEffect, useRef, useSyncExternalStore } from "react";
import { hasPasskeys, type ProofErrors, type ProofInput, type ProofMethod } from "vestibule";
import { Button, Field, Form, type Mendable, text, useSending } from "./form";
import { askForPasskey, client, proofOf } from "./vestibule";

/** A prompt: the errors of the last proof, the accepted methods, and the function that takes the next proof, or null. */
interface Prompt {
  errors: readonly Mendable[];
  /** Null if they are not known. */
  methods: readonly ProofMethod[] | null;
  answer: (proof: ProofInput | null) => void;
}

let prompt: Prompt | null = null;
const listeners = new Set<() => void>();

function show(next: Prompt | null): void {
  prompt = next;
  for (const listener of [...listeners]) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Asks for a proof of identity, in the dialog `Proof`: the option `prove` of the client. */
export function prove(errors: ProofErrors, methods: readonly ProofMethod[] | null): Promise<ProofInput | null> {
  return new Promise((resolve) => {
    show({
      errors: errors.map((error) => ({ ...error, field: error.code === "PASSWORD_INCORRECT" ? "password" : "code" })),
      methods,
      answer: (proof) => {
        show(null);
        resolve(proof);
      },
    });
  });
}

/** The dialog that asks for a proof of identity before a sensitive operation. */
export function Proof() {
  const shown = useSyncExternalStore(subscribe, () => prompt);
  // Another user must not see the question.
  useEffect(() => client.onSessionChange(() => prompt?.answer(null)), []);
  return shown === null ? null : <Dialog prompt={shown} />;
}

function Dialog({ prompt: { errors, methods, answer } }: { prompt: Prompt }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const sending = useSending();
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  const onSend = (fields: FormData): void => {
    const password = text(fields, "password");
    answer(password === "" ? proofOf(text(fields, "code")) : { password });
  };
  const withPasskey = (): void => {
    void sending.send(async () => {
      answer({ passkey: await askForPasskey() });
      return { errors: [] };
    });
  };
  const offers = (...some: ProofMethod[]): boolean => methods === null || some.some((one) => methods.includes(one));
  const current = sending.errors.length > 0 ? sending.errors : errors;
  return (
    <dialog ref={dialog} aria-labelledby="proof" onCancel={() => answer(null)}>
      <h2 id="proof">Confirm that it is you</h2>
      <Form label="Proof of identity" submit="Continue" sending={{ ...sending, errors: current }} onSend={onSend}>
        {offers("PASSWORD") && (
          <Field name="password" label="Password" type="password" errors={current} autoComplete="current-password" />
        )}
        {offers("TOTP", "RECOVERY_CODE") && (
          <Field
            name="code"
            label="Or a code of your authenticator app, or a recovery code"
            errors={current}
            autoComplete="one-time-code"
          />
        )}
      </Form>
      <p className="buttons">
        {hasPasskeys() && offers("PASSKEY") && (
          <Button quiet busy={sending.busy} onClick={withPasskey}>
            Use a passkey
          </Button>
        )}
        <Button quiet busy={sending.busy} onClick={() => answer(null)}>
          Cancel
        </Button>
      </p>
    </dialog>
  );
}
