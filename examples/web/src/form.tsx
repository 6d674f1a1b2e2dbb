import { type FormEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import type { UserErrorCode } from "vestibule";
import { explain } from "./vestibule";

/** What the person can mend, as every payload lists it. */
export interface Mendable {
  code: UserErrorCode;
  field: string | null;
  message: string;
}

/** The state of a form: what is wrong with it, what came of it, whether it is being sent. */
export interface Sending {
  errors: readonly Mendable[];
  note: string | null;
  busy: boolean;
  /** Sends; `send` gives the payload's errors and, where there are none, what to tell. */
  send: (send: () => Promise<{ errors: readonly Mendable[]; note?: string }>) => Promise<void>;
}

/** For a form with these fields; what is wrong with others is told above its button. */
export function useSending(fields: readonly string[] = []): Sending {
  const [errors, setErrors] = useState<readonly Mendable[]>([]);
  const [note, setNote] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  async function send(work: () => Promise<{ errors: readonly Mendable[]; note?: string }>): Promise<void> {
    setBusy(true);
    setNote(null);
    try {
      const outcome = await work();
      setErrors(
        outcome.errors.map((error) =>
          error.field !== null && fields.includes(error.field) ? error : { ...error, field: null },
        ),
      );
      if (outcome.errors.length === 0) setNote(outcome.note ?? null);
    } catch (error) {
      setErrors([{ code: "INVALID", field: null, message: explain(error) }]);
    } finally {
      setBusy(false);
    }
  }
  return { errors, note, busy, send };
}

/** A form that sends its fields by name, and brings people to the first field that is wrong. */
export function Form(props: {
  label: string;
  submit: string;
  sending: Sending;
  onSend: (fields: FormData) => void;
  children: ReactNode;
}) {
  const { label, submit, sending, onSend, children } = props;
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (sending.errors.length > 0) form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [sending.errors]);
  const onSubmit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    onSend(new FormData(event.currentTarget));
  };
  return (
    <form ref={form} aria-label={label} onSubmit={onSubmit} noValidate>
      {children}
      <Notices sending={sending} />
      <button type="submit" disabled={sending.busy}>
        {submit}
      </button>
    </form>
  );
}

/** What came of it, said aloud by screen readers; errors of fields stand at their fields. */
export function Notices({ sending: { errors, note } }: { sending: Sending }) {
  const general = errors.filter(({ field }) => field === null);
  return (
    <>
      <div role="alert">
        {general.map(({ message }) => (
          <p key={message} className="bad">
            {message}
          </p>
        ))}
      </div>
      <div role="status">{note === null ? null : <p className="good">{note}</p>}</div>
    </>
  );
}

/** A labelled field with what is wrong with it. */
export function Field(props: {
  name: string;
  label: string;
  errors: readonly Mendable[];
  type?: "text" | "password" | "tel";
  /** The keyboard of a telephone. Addresses are text: browsers refuse some of them in fields of the type `email`. */
  inputMode?: "email";
  value?: string;
  autoComplete?: string;
  lines?: number;
}) {
  const { name, label, errors, type = "text", inputMode, value = "", autoComplete = "off", lines } = props;
  const id = useId();
  const wrong = errors.filter(({ field }) => field === name);
  const shared = {
    id,
    name,
    autoComplete,
    defaultValue: value,
    "aria-invalid": wrong.length > 0,
    "aria-describedby": wrong.length > 0 ? `${id}-wrong` : undefined,
  };
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {lines === undefined ? <input type={type} inputMode={inputMode} {...shared} /> : <textarea rows={lines} {...shared} />}
      {wrong.length > 0 && (
        <p id={`${id}-wrong`} className="bad">
          {wrong.map(({ message }) => message).join(" ")}
        </p>
      )}
    </div>
  );
}

/** The text of a field. */
export function text(fields: FormData, name: string): string {
  const value = fields.get(name);
  return typeof value === "string" ? value : "";
}
